"""The original that a new project is about: imported, made, and its parameters under our names."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from official.checkpoints import proposals
from official.checkpoints.units import Parameter
from official.cli.errors import UserError, nearest

_NORM_NAMES = {
  "weight": "gamma",
  "bias": "beta",
  "running_mean": "moving_mean",
  "running_var": "moving_variance",
}


@dataclasses.dataclass(frozen=True)
class Original:
  """A PyTorch network.

  Attributes:
    module: where its class is imported from.
    name: of the class.
    arguments: of the class, or of its `config_class` where it has one (as in transformers).
    configured: whether it has one.
    network: the `torch.nn.Module`.
  """

  module: str
  name: str
  arguments: Mapping[str, Any]
  configured: bool
  network: Any


def make(reference: str, arguments: Mapping[str, Any]) -> Original:
  """Imports and makes the original.

  Args:
    reference: "module:Class".
    arguments: by name.

  Raises:
    UserError: it cannot be imported, is no torch module, or does not take the arguments.
  """
  module, colon, name = reference.partition(":")
  if not (colon and module and name.isidentifier()):
    raise UserError(f"--reference {reference}: expected module:Class")
  class_ = _class(module, name)
  configured = getattr(class_, "config_class", None) is not None
  try:
    network = class_(class_.config_class(**arguments)) if configured else class_(**arguments)
  except Exception as error:  # Whatever the original raises, it is about its arguments.
    why = " ".join(str(error).split()) or type(error).__name__
    hint = """give them as JSON: --arguments '{"name": value}'"""
    raise UserError(f"{reference} cannot be made: {why}; {hint}") from error
  return Original(module, name, arguments, configured, network)


def _class(module: str, name: str) -> Any:
  try:
    found = importlib.import_module(module)
    class_ = getattr(found, name, None)
  except Exception as error:
    why = " ".join(str(error).split()) or type(error).__name__
    raise UserError(f"--reference: {module} cannot be imported: {why}") from error
  if class_ is None:
    raise UserError(f"--reference: {module} has no '{name}'{nearest(name, dir(found))}")
  if not (isinstance(class_, type) and any(map(_is_module, class_.__mro__))):
    raise UserError(f"--reference: {module}:{name} is no class derived from torch.nn.Module")
  return class_


def _is_module(class_: type) -> bool:
  # torch itself is imported by originals alone.
  return (class_.__module__, class_.__name__) == ("torch.nn.modules.module", "Module")


def weights(original: Original) -> str:
  """A draft of the weight rules, as Python source: our names are the original's, in our words."""
  layers = {path: type(layer).__name__ for path, layer in original.network.named_modules()}
  arrays = original.network.state_dict()
  sources = {
    name: Parameter(tuple(array.shape), layers.get(name.rpartition(".")[0], ""))
    for name, array in arrays.items()
  }
  # Integers count steps or positions; ours has no variable for them.
  kept = [name for name, array in arrays.items() if array.is_floating_point()]
  targets = dict(_renamed(name, sources[name]) for name in kept)
  return proposals.format_rules(proposals.propose(sources, targets))


def _renamed(name: str, parameter: Parameter) -> tuple[str, Parameter]:
  """A parameter's name and shape in Keras' words."""
  path, _, last = name.rpartition(".")
  shape = parameter.shape
  if "Norm" in parameter.layer:
    last = _NORM_NAMES.get(last, last)
  elif last == "weight" and "Embedding" not in parameter.layer and len(shape) > 1:
    last, shape = "kernel", (*shape[2:], shape[1], shape[0])
  return "/".join([*path.split("."), last]).lstrip("/"), Parameter(shape, parameter.layer)
