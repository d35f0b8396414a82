"""Resizing between static sizes as the losses need it: exact in any precision, differentiable.

`tf.image.resize` returns float32 always; its gradient for one channel is slow on CPUs.
"""

import numpy as np
import tensorflow as tf


def bilinear(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """[k, h, w] float → [k, height, width]: half-pixel centres, the border repeated.

  Two matrix products. On a TPU their precision is that of all products there, bfloat16 unless set
  otherwise.
  """
  rows = _weights(x.shape[1], height, x.dtype)
  columns = _weights(x.shape[2], width, x.dtype)
  wide = tf.reshape(tf.reshape(x, [-1, x.shape[2]]) @ columns, [-1, x.shape[1], width])
  return _times(rows, wide)


def bilinear_adjoint(slope: tf.Tensor, h: int, w: int) -> tf.Tensor:
  """Gradient [k, h, w] of what `bilinear` enlarged, from that of its result [k, height, width].

  A tape's begins with the rows, for which XLA on a CPU transposes the large tensor.
  """
  _, height, width = slope.shape
  rows, columns = _weights(h, height, slope.dtype), _weights(w, width, slope.dtype)
  narrow = tf.matmul(tf.reshape(slope, [-1, width]), columns, transpose_b=True)
  return tf.matmul(rows[None], tf.reshape(narrow, [-1, height, w]))


def bilinear_of_channels(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """[b, h, w, c] float → [b, height, width, c], as `bilinear`; channels stay last all along."""
  _, h, w, c = x.shape
  rows, columns = _weights(h, height, x.dtype), _weights(w, width, x.dtype)
  tall = _times(rows, tf.reshape(x, [-1, h, w * c]))  # [b, height, w · c]
  large = _times(columns, tf.reshape(tall, [-1, w, c]))  # [b · height, width, c]
  return tf.reshape(large, [-1, height, width, c])


def nearest(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """[b, n, h, w] of any type → [b, n, height, width]: the pixel at ⌊i · h / height⌋, as PyTorch."""
  if x.shape[2] % height == 0 and x.shape[3] % width == 0:
    return x[:, :, :: x.shape[2] // height, :: x.shape[3] // width]
  rows = tf.gather(x, _places(x.shape[2], height), axis=2)
  return tf.gather(rows, _places(x.shape[3], width), axis=3)


def _times(weights: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
  """[source, target] weights and x [k, source, m] → [k, target, m]."""
  return tf.matmul(weights[None], x, transpose_a=True)


def _weights(source: int, target: int, dtype: tf.DType) -> tf.Tensor:
  """[source, target]: how much of each source place there is in each target place."""
  place = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
  distance = np.abs(place[None] - np.arange(source)[:, None])
  return tf.constant(np.maximum(1 - distance, 0), dtype)


def _places(source: int, target: int) -> np.ndarray:
  scale = np.float32(source) / np.float32(target)  # The original's precision decides at the edges.
  places = np.floor(np.arange(target, dtype=np.float32) * scale).astype(np.int32)
  return np.minimum(places, source - 1)
