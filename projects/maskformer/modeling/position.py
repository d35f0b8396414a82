"""DETR's sine position encoding, in the dtype of what it is added to."""

import math
from typing import Any

import tensorflow as tf
import tf_keras

_EPSILON = 1e-6  # Added to the count that positions are divided by.


def sine_positions(
  valid: tf.Tensor, width: int, dtype: tf.DType, temperature: float = 10000.0
) -> tf.Tensor:
  """Positions of pixels, scaled to 2π, as sines and cosines of falling frequency.

  Args:
    valid: [b, h, w] bool: pixels that belong to the image; rows and columns count these only.
    width: channels; half of them tell the row, then half the column. A multiple of 4.
    dtype: of the result.
    temperature: ratio of the extreme wavelengths.

  Returns:
    [b, h, w, width].
  """
  ones = tf.cast(valid, dtype)
  rows, columns = tf.cumsum(ones, axis=1), tf.cumsum(ones, axis=2)
  rows = rows / (rows[:, -1:, :] + _EPSILON) * (2 * math.pi)
  columns = columns / (columns[:, :, -1:] + _EPSILON) * (2 * math.pi)
  return tf.concat(
    [_waves(rows, width // 2, temperature), _waves(columns, width // 2, temperature)], axis=-1
  )


def _waves(positions: tf.Tensor, width: int, temperature: float) -> tf.Tensor:
  """[b, h, w] → [b, h, w, width]: sine and cosine take turns."""
  exponents = tf.cast(2 * (tf.range(width) // 2), positions.dtype) / width
  angles = positions[..., None] / tf.pow(tf.constant(temperature, positions.dtype), exponents)
  even = tf.range(width) % 2 == 0
  return tf.where(even, tf.sin(angles), tf.cos(angles))


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class SinePosition(tf_keras.layers.Layer):
  """`sine_positions` as a layer: valid pixels [b, h, w] bool → [b, h, w, width].

  Args:
    width: channels of the encoding.
  """

  def __init__(self, width: int, **kwargs: Any) -> None:
    super().__init__(autocast=False, **kwargs)
    self.width = width

  def call(self, valid: tf.Tensor) -> tf.Tensor:
    return sine_positions(valid, self.width, tf.as_dtype(self.compute_dtype))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"width": self.width}


def flatten_pixels(x: tf.Tensor) -> tf.Tensor:
  """[b, h, w, c] → [b, h · w, c], row by row."""
  return tf.reshape(x, [-1, x.shape[1] * x.shape[2], x.shape[3]])
