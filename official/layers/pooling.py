"""Pooling padded as Darknet pads."""

from typing import Any

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable(package="Transplant")
class MaxPool(tf_keras.layers.Layer):
  """Maxima of size × size pixels, `strides` apart; what lies outside the image never wins.

  [b, h, w, c] → [b, (h + padding − size) // strides + 1, …, c]. Deviates from TensorFlow's SAME in
  where the padding goes: always padding // 2 pixels in front.

  Args:
    size: side of the window.
    strides: of both axes.
    padding: pixels around the image, along each axis, in front and behind together; None: size − 1,
      Darknet's default.
  """

  def __init__(self, size: int, strides: int, padding: int | None = None, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.size, self.strides = size, strides
    self.padding = size - 1 if padding is None else padding

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    if self.padding == self.size - 1 and (self.strides == 1 or self.size == 2):
      # SAME puts the same padding to the same places here, and copies nothing.
      return tf.nn.max_pool2d(inputs, self.size, self.strides, "SAME")
    front = self.padding // 2
    sides = [front, self.padding - front]
    padded = tf.pad(inputs, [[0, 0], sides, sides, [0, 0]], constant_values=inputs.dtype.min)
    return tf.nn.max_pool2d(padded, self.size, self.strides, "VALID")

  def get_config(self) -> dict[str, Any]:
    config = {"size": self.size, "strides": self.strides, "padding": self.padding}
    return super().get_config() | config
