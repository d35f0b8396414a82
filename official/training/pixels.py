"""Encoded images to pixels, no more of them than are needed."""

import functools

import tensorflow as tf

_RATIOS = (1, 2, 4, 8)  # By which a JPEG can be shrunk while it is decoded.


def decode(encoded: tf.Tensor) -> tf.Tensor:
  """Decodes a JPEG or PNG image, () string, to [h, w, 3] uint8, as libjpeg does by default."""
  pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
  return tf.ensure_shape(pixels, [None, None, 3])


def decode_fast(encoded: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
  """Decodes an image that will be shrunk and augmented anyway.

  A JPEG is shrunk by up to 8 in the DCT domain, but never below the wanted size, and its chroma is
  not smoothed: levels differ from `decode` by a few units.

  Args:
    encoded: () string, JPEG or PNG; a PNG is decoded at its full size.
    scale: () float32, the wanted size, as a part of the full one.

  Returns:
    [h, w, 3] uint8, at least `scale` times the full size.
  """
  branch = tf.reduce_sum(tf.cast(scale <= [1 / 2, 1 / 4, 1 / 8], tf.int32))
  decoders = [functools.partial(_decode_shrunk, encoded, ratio) for ratio in _RATIOS]
  return tf.ensure_shape(tf.switch_case(branch, decoders), [None, None, 3])


def _decode_shrunk(encoded: tf.Tensor, ratio: int) -> tf.Tensor:
  return tf.io.decode_jpeg(
    encoded, channels=3, ratio=ratio, fancy_upscaling=False, dct_method="INTEGER_FAST"
  )
