"""Enlarging by repetition, in operations that every backend has a gradient for."""

from typing import Any

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable(package="Transplant")
class Upsample(tf_keras.layers.Layer):
  """Repeats each pixel `size` times along both axes: [b, h, w, c] → [b, size · h, size · w, c].

  The same as Keras' nearest `UpSampling2D`, whose gradient XLA cannot compile.
  """

  def __init__(self, size: int = 2, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.size = size

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(inputs)
    height, width = (inputs.shape[axis] or shape[axis] for axis in (1, 2))
    channels = inputs.shape[3]
    apart = inputs[:, :, None, :, None, :]
    repeated = tf.tile(apart, [1, 1, self.size, 1, self.size, 1])
    return tf.reshape(repeated, [-1, height * self.size, width * self.size, channels])

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"size": self.size}
