"""A model in figures."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from official.inspection.flops import count_flops


@dataclasses.dataclass(frozen=True)
class Summary:
  """What a model is made of and gives.

  Attributes:
    parameters: numbers in all of its variables.
    trainable: numbers in those that are trained.
    flops: of inference on one input, see `count_flops`.
    outputs: shape of each output for a batch of one, by its path such as `raw/4`.
  """

  parameters: int
  trainable: int
  flops: int
  outputs: dict[str, list[int | None]]


def summarize(model: tf_keras.Model, input_shape: Sequence[int]) -> Summary:
  """The figures of `model` at inference on one input of `input_shape` (without the batch)."""
  spec = tf.TensorSpec([1, *input_shape], model.compute_dtype)
  function = tf.function(lambda images: model(images, training=False)).get_concrete_function(spec)
  return Summary(
    parameters=_size(model.variables),
    trainable=_size(model.trainable_variables),
    flops=count_flops(function),
    outputs=dict(_shapes(function.structured_outputs)),
  )


def _shapes(outputs: Any, path: str = "") -> Iterator[tuple[str, list[int | None]]]:
  """Path and shape of each tensor in nested dictionaries, lists and tuples."""
  if tf.is_tensor(outputs):
    yield path.removeprefix("/") or "output", outputs.shape.as_list()
    return
  items = outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs)
  for key, value in items:
    yield from _shapes(value, f"{path}/{key}")


def _size(variables: Sequence[tf.Variable]) -> int:
  return sum(math.prod(variable.shape) for variable in variables)
