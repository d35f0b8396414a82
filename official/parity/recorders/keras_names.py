"""Names of a Keras network's layers and variables, by where they are and not by creation."""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from tf_keras.src import backend

from official.cli.errors import UserError


def layer_paths(network: tf_keras.layers.Layer) -> dict[str, tf_keras.layers.Layer]:
  """Every layer below `network` by its path: names of layers from the outermost in, joined by "/".

  The network itself has the empty path. A layer that two layers share has the path of the first.

  Raises:
    UserError: two layers within one have the same name, and no attribute to tell them by.
  """
  paths: dict[str, tf_keras.layers.Layer] = {}
  seen: set[int] = set()

  def walk(layer: tf_keras.layers.Layer, path: str) -> None:
    seen.add(id(layer))
    paths[path] = layer
    for name, child in _named(layer, _children(layer), path):
      if id(child) not in seen:
        walk(child, f"{path}/{name}" if path else name)

  walk(network, "")
  return paths


def parameter_names(network: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
  """What is trained, also where it is frozen: "<layer's path>/<the variable's own last name>"."""
  return _variables(network, "_trainable_weights")


def buffer_names(network: tf_keras.layers.Layer) -> dict[str, tf.Variable]:
  """What layers keep and do not train (BatchNorm's statistics), named alike."""
  return _variables(network, "_non_trainable_weights")


@contextlib.contextmanager
def counting_anew() -> Iterator[None]:
  """Numbers in automatic names ("conv2d_3") start anew, whatever this process has made before."""
  uids, observed = backend.PER_GRAPH_OBJECT_NAME_UIDS, backend.OBSERVED_NAMES
  held = dict(uids), set(observed)
  backend.reset_uids()
  try:
    yield
  finally:
    backend.reset_uids()
    uids.update(held[0])
    observed.update(held[1])


def _variables(network: tf_keras.layers.Layer, attribute: str) -> dict[str, tf.Variable]:
  names: dict[str, tf.Variable] = {}
  seen: set[int] = set()
  for path, layer in layer_paths(network).items():
    own = [v for v in getattr(layer, attribute) if id(v) not in seen]
    seen |= {id(variable) for variable in own}
    for name, variable in _named(layer, own, path):
      names[f"{path}/{name}" if path else name] = variable
  return names


def _children(layer: tf_keras.layers.Layer) -> list[tf_keras.layers.Layer]:
  found = layer._flatten_layers(recursive=False, include_self=False)
  return [child for child in found if not isinstance(child, tf_keras.layers.InputLayer)]


def _named(owner: Any, parts: list[Any], path: str) -> Iterator[tuple[str, Any]]:
  """Each part with its own last name; with its attribute's where two have the same."""
  names = [_own_name(part) for part in parts]
  for name, part in zip(names, parts, strict=True):
    yield (name if names.count(name) == 1 else _attribute_of(owner, part, name, path)), part


def _own_name(part: Any) -> str:
  if isinstance(part, tf_keras.layers.Layer):
    return part.name
  return part.name.split(":")[0].rsplit("/", 1)[-1]


def _attribute_of(owner: Any, part: Any, name: str, path: str) -> str:
  for attribute, value in vars(owner).items():
    if attribute.startswith("_"):
      continue
    if value is part:
      return attribute
    if isinstance(value, list | tuple) and any(item is part for item in value):
      return f"{attribute}.{next(i for i, item in enumerate(value) if item is part)}"
  raise UserError(
    f"two parts of layer '{path or type(owner).__name__}' are named '{name}': give them names of "
    "their own, or make them attributes"
  )
