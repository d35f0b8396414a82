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
    shape, channels = tf.shape(inputs), inputs.shape[3]
    height, width = (inputs.shape[axis] or shape[axis] for axis in (1, 2))
    # Axis by axis: LiteRT knows no more than five.
    rows = tf.tile(tf.expand_dims(inputs, 2), [1, 1, self.size, 1, 1])
    rows = tf.reshape(rows, [-1, height * self.size, width, channels])
    pixels = tf.tile(tf.expand_dims(rows, 3), [1, 1, 1, self.size, 1])
    return tf.reshape(pixels, [-1, height * self.size, width * self.size, channels])

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"size": self.size}
