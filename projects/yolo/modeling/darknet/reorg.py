"""Darknet's `[reorg]`: pixels into channels, in the order that its first version had."""

from typing import Any

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable(package="Transplant")
class Reorg(tf_keras.layers.Layer):
  """[b, h, w, c] → [b, h / stride, w / stride, c · stride²], or the other way round.

  Darknet's (`reorg_cpu` in `blas.c`) is no space-to-depth: it reads the memory of [c, h, w] as if
  it were [c / stride², h · stride, w · stride] and takes that apart. c is a multiple of stride².

  Args:
    stride: of both axes.
    reverse: channels into pixels, [b, h · stride, w · stride, c / stride²].
  """

  def __init__(self, stride: int, reverse: bool, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.stride, self.reverse = stride, reverse

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    (_, h, w, c), s = inputs.shape, self.stride
    x, inner = tf.transpose(inputs, [0, 3, 1, 2]), c // s**2
    if self.reverse:
      x = tf.transpose(tf.reshape(x, [-1, s, s, inner, h, w]), [0, 3, 4, 1, 5, 2])
      x = tf.reshape(x, [-1, inner, h * s, w * s])
    else:
      x = tf.transpose(tf.reshape(x, [-1, inner, h, s, w, s]), [0, 3, 5, 1, 2, 4])
      x = tf.reshape(x, [-1, c * s**2, h // s, w // s])
    return tf.transpose(x, [0, 2, 3, 1])

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"stride": self.stride, "reverse": self.reverse}
