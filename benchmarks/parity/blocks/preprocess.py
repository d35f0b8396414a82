"""From a photograph to what MaskFormer is given: resize, scale to 0..1, normalize."""

import tensorflow as tf

MEAN = (0.485, 0.456, 0.406)  # ImageNet's, red first.
DEVIATION = (0.229, 0.224, 0.225)


def resize_smooth(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """Bilinear with a filter as wide as the reduction: [h, w, c] → [height, width, c].

  As Pillow does it, without rounding between the axes.
  """
  rows = _filter(image.shape[0], height, image.dtype)
  columns = _filter(image.shape[1], width, image.dtype)
  return tf.einsum("yh,hwc,xw->yxc", rows, image, columns)


def _filter(source: int, target: int, dtype: tf.DType) -> tf.Tensor:
  """[target, source] weights: a triangle about each target pixel's centre; rows sum to 1."""
  ratio = source / target
  centre = (tf.range(target, dtype=dtype) + 0.5) * ratio
  distance = tf.abs(tf.range(source, dtype=dtype)[None] + 0.5 - centre[:, None])
  weights = tf.maximum(1 - distance / max(ratio, 1.0), 0)
  return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def preprocess(image: tf.Tensor, height: int, width: int, dtype: tf.DType) -> tf.Tensor:
  """[h, w, 3] uint8, red first → [1, height, width, 3]."""
  x = resize_smooth(tf.cast(image, dtype), height, width) / 255
  return ((x - tf.constant(MEAN, dtype)) / tf.constant(DEVIATION, dtype))[None]
