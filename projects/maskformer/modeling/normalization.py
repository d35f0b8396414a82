"""Group normalization with statistics in at least float32."""

from typing import Any

import tensorflow as tf
import tf_keras


class GroupNorm(tf_keras.layers.Layer):
  """Normalizes each image and group of channels over [h, w, c / groups] (Wu & He 2018).

  Args:
    groups: number of groups; divides the channels.
    epsilon: added to the variance before the square root.
  """

  def __init__(self, groups: int = 32, epsilon: float = 1e-5, **kwargs: Any) -> None:
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
    batch, height, width = tf.unstack(tf.shape(inputs)[:3])
    channels = inputs.shape[-1]
    x = tf.cast(inputs, tf.float64 if inputs.dtype == tf.float64 else tf.float32)
    x = tf.reshape(x, [batch, height * width, self.groups, channels // self.groups])
    mean, variance = tf.nn.moments(x, axes=[1, 3], keepdims=True)
    x = tf.reshape((x - mean) * tf.math.rsqrt(variance + self.epsilon), tf.shape(inputs))
    return tf.cast(x * tf.cast(self.gamma, x.dtype) + tf.cast(self.beta, x.dtype), inputs.dtype)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"groups": self.groups, "epsilon": self.epsilon}
