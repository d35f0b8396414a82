"""Cutting feature maps into windows, and which pixels of a shifted window may see each other."""

import numpy as np
import tensorflow as tf


def partition(x: tf.Tensor, size: int) -> tf.Tensor:
  """[b, h, w, c] → [b · windows, size², c], row by row; h and w are multiples of `size`."""
  _, height, width, channels = x.shape
  x = tf.reshape(x, [-1, height // size, size, width // size, size, channels])
  return tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [-1, size * size, channels])


def merge(windows: tf.Tensor, size: int, height: int, width: int) -> tf.Tensor:
  """The inverse of `partition`: [b · windows, size², c] → [b, height, width, c]."""
  channels = windows.shape[-1]
  x = tf.reshape(windows, [-1, height // size, width // size, size, size, channels])
  return tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [-1, height, width, channels])


def shift_bias(height: int, width: int, size: int, shift: int) -> np.ndarray:
  """What is added to scores so that pixels from opposite borders do not see each other.

  Returns:
    [windows, size², size²] float64: 0 within a region, −100 across (Liu et al. 2021, sec. 3.2).
  """
  regions = _regions(height, size, shift)[:, None] * 3 + _regions(width, size, shift)[None, :]
  regions = regions.reshape(height // size, size, width // size, size).transpose(0, 2, 1, 3)
  regions = regions.reshape(-1, size * size)
  return np.where(regions[:, :, None] == regions[:, None, :], 0.0, -100.0)


def _regions(length: int, size: int, shift: int) -> np.ndarray:
  """Region of each row after the shift: 0 untouched, 1 cut window's rest, 2 wrapped around."""
  index = np.arange(length)
  return (index >= length - size).astype(int) + (index >= length - shift)


def relative_index(size: int) -> np.ndarray:
  """[size², size²] int: the row of the bias table that each pair of pixels of a window reads."""
  rows, columns = np.divmod(np.arange(size * size), size)
  down = rows[:, None] - rows[None, :] + size - 1
  right = columns[:, None] - columns[None, :] + size - 1
  return down * (2 * size - 1) + right
