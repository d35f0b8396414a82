"""Layer and group normalization that store nothing but their input, in at least float32.

TensorFlow's own keep several tensors of the input's size for the gradient. Here it recomputes them.
Gradients are first order only.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.precision import wide
from official.layers.tape import off_tape

EPSILON = 1e-5  # Of every normalization; Keras' own default is 1e-3.

_Gradient = Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]


@tf.custom_gradient
def _normalize_last(
  x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, mean: tf.Tensor, inverse: tf.Tensor
) -> tuple[tf.Tensor, _Gradient]:
  """Normalizes the last axis; `mean` and `inverse` = 1 / √(variance + ε), [.., 1], are x's own."""
  x, gamma, beta = off_tape(x), off_tape(gamma), off_tape(beta)

  def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    dy = wide(upstream)
    normalized = (wide(x) - mean) * inverse
    axes = list(range(x.shape.rank - 1))
    d_gamma = tf.reduce_sum(dy * normalized, axes)
    d_beta = tf.reduce_sum(dy, axes)
    scaled = dy * gamma
    along = tf.reduce_mean(scaled * normalized, -1, keepdims=True)
    dx = inverse * (scaled - tf.reduce_mean(scaled, -1, keepdims=True) - normalized * along)
    return tf.cast(dx, x.dtype), d_gamma, d_beta, None, None

  outputs = (wide(x) - mean) * inverse * gamma + beta
  return tf.cast(outputs, x.dtype), gradient


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class LayerNorm(tf_keras.layers.LayerNormalization):
  """Normalizes the last axis of [.., c] (Ba et al. 2016)."""

  def __init__(self, epsilon: float = EPSILON, **kwargs: Any) -> None:
    super().__init__(epsilon=epsilon, **kwargs)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    x = off_tape(wide(inputs))
    mean = tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), -1, keepdims=True)
    inverse = tf.math.rsqrt(variance + self.epsilon)
    gamma, beta = (tf.convert_to_tensor(wide(v)) for v in (self.gamma, self.beta))
    return _normalize_last(inputs, gamma, beta, mean, inverse)


@tf.custom_gradient
def _normalize_groups(
  x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, mean: tf.Tensor, inverse: tf.Tensor
) -> tuple[tf.Tensor, _Gradient]:
  """Normalizes groups of channels of [b, h, w, c]; `mean` and `inverse`, [b, groups], are x's."""
  x, gamma, beta = off_tape(x), off_tape(gamma), off_tape(beta)
  mean_of_channel, inverse_of_channel = (_to_channels(s, x.shape[-1]) for s in (mean, inverse))
  scale = gamma * inverse_of_channel  # [b, c], as all that follows.
  shift = beta - mean_of_channel * scale

  def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    dy = wide(upstream)
    sums = tf.reduce_sum(dy, [1, 2])
    products = tf.reduce_sum(dy * wide(x), [1, 2])
    products = (products - mean_of_channel * sums) * inverse_of_channel
    count = tf.cast(tf.size(x) // tf.size(mean), dy.dtype)  # By "/" it were a float64.
    even = _to_channels(_to_groups(gamma * sums, mean), x.shape[-1]) / count
    along = _to_channels(_to_groups(gamma * products, mean), x.shape[-1]) / count
    slope = -along * inverse_of_channel**2
    offset = -even * inverse_of_channel - slope * mean_of_channel
    dx = dy * _at_pixels(scale) + (wide(x) * _at_pixels(slope) + _at_pixels(offset))
    d_gamma, d_beta = tf.reduce_sum(products, 0), tf.reduce_sum(sums, 0)
    return tf.cast(dx, x.dtype), d_gamma, d_beta, None, None

  return tf.cast(wide(x) * _at_pixels(scale) + _at_pixels(shift), x.dtype), gradient


def _at_pixels(x: tf.Tensor) -> tf.Tensor:
  """[b, c] → [b, 1, 1, c]."""
  return x[:, None, None, :]


def _to_channels(x: tf.Tensor, channels: int) -> tf.Tensor:
  """[b, groups] → [b, channels], each group's value for each of its channels."""
  return tf.repeat(x, channels // x.shape[1], axis=1)


def _to_groups(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  """[b, c] → [b, groups], sums of each group's channels; `like` is [b, groups]."""
  groups = like.shape[1]
  return tf.reduce_sum(tf.reshape(x, [-1, groups, x.shape[1] // groups]), 2)


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class GroupNorm(tf_keras.layers.Layer):
  """Normalizes each image and group of channels over [h, w, c / groups] (Wu & He 2018).

  Args:
    groups: number of groups; divides the channels.
    epsilon: added to the variance before the square root.
  """

  def __init__(self, groups: int = 32, epsilon: float = EPSILON, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.groups = groups
    self.epsilon = epsilon

  def build(self, input_shape: tf.TensorShape) -> None:
    shape = (input_shape[-1],)
    self.gamma = self.add_weight("gamma", shape, initializer="ones")
    self.beta = self.add_weight("beta", shape, initializer="zeros")
    super().build(input_shape)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """[b, h, w, c] → [b, h, w, c]."""
    x = off_tape(wide(inputs))
    mean = self._mean(tf.reduce_mean(x, [1, 2]))
    centre = _at_pixels(_to_channels(mean, x.shape[-1]))
    variance = self._mean(tf.reduce_mean(tf.math.squared_difference(x, centre), [1, 2]))
    inverse = tf.math.rsqrt(variance + self.epsilon)
    gamma, beta = (tf.convert_to_tensor(wide(v)) for v in (self.gamma, self.beta))
    return _normalize_groups(inputs, gamma, beta, mean, inverse)

  def _mean(self, x: tf.Tensor) -> tf.Tensor:
    """[b, c] → [b, groups]: means of each group's channels."""
    return tf.reduce_mean(tf.reshape(x, [-1, self.groups, x.shape[1] // self.groups]), 2)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"groups": self.groups, "epsilon": self.epsilon}
