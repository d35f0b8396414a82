"""Whether a layer hands back the derivative of what it puts out, by moving its inputs a little."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from official.parity.recorders.keras_capture import LayerCall
from official.parity.recorders.keras_state import prepared
from official.parity.recorders.structures import leaves, map_leaves

_STEP = 1e-6  # Of a value; the error of central differences is its square, and rounding / step.
_TOLERANCE = 1e-4
_DIRECTIONS = 3


def agree(call: LayerCall, network: tf_keras.layers.Layer, seed: int) -> bool:
  """Whether gradients of a call with respect to its inputs are its central differences.

  Said of float64 only: in less, differences drown in rounding, and the answer is yes.

  Args:
    call: of a layer, with its inputs.
    network: that the layer is part of; its statistics stay as they are.
    seed: of what the layer draws.
  """
  inputs = [leaf for _, leaf in leaves((call.args, call.kwargs)) if _is_float64(leaf)]
  random = np.random.default_rng(seed)
  weights = {leaf: random.normal(size=array.shape) for leaf, array in call.outputs.items()}
  if not inputs:
    return True

  def value(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    with prepared(network, seed):
      return _weighted(_replayed(call, inputs, tensors), weights)

  with tf.GradientTape() as tape:
    tape.watch(inputs)
    total = value(inputs)
  gradients = tape.gradient(total, inputs, unconnected_gradients="zero")
  return all(_agrees(value, inputs, gradients, random) for _ in range(_DIRECTIONS))


def _agrees(
  value: Any, inputs: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], random: Any
) -> bool:
  steps = [_step(tensor, random) for tensor in inputs]
  above = value([tensor + step for tensor, step in zip(inputs, steps, strict=True)])
  below = value([tensor - step for tensor, step in zip(inputs, steps, strict=True)])
  difference = float(above - below) / 2
  products = [tf.reduce_sum(g * step) for g, step in zip(gradients, steps, strict=True)]
  derivative = float(tf.add_n(products))
  noise = 1e-13 * (abs(float(above)) + abs(float(below)))
  return abs(difference - derivative) <= _TOLERANCE * max(abs(difference), abs(derivative)) + noise


def _step(tensor: tf.Tensor, random: np.random.Generator) -> tf.Tensor:
  size = _STEP * float(tf.sqrt(tf.reduce_mean(tensor**2)))
  return tf.constant(size * random.normal(size=tensor.shape), tf.float64)


def _replayed(call: LayerCall, old: Sequence[tf.Tensor], new: Sequence[tf.Tensor]) -> Any:
  """What the call returns with other tensors in place of its own."""
  by_id = dict(zip(map(id, old), new, strict=True))
  args, kwargs = map_leaves(lambda _, leaf: by_id.get(id(leaf), leaf), (call.args, call.kwargs))
  return LayerCall(call.layer, args, kwargs, call.training, call.outputs).replay()


def _weighted(outputs: Any, weights: dict[str, np.ndarray]) -> tf.Tensor:
  terms = [
    tf.reduce_sum(output * weights[leaf]) for leaf, output in leaves(outputs) if _is_float64(output)
  ]
  return tf.add_n(terms) if terms else tf.zeros((), tf.float64)


def _is_float64(leaf: Any) -> bool:
  return tf.is_tensor(leaf) and leaf.dtype == tf.float64
