"""Pixels as the networks take them."""

import tensorflow as tf

# Of ImageNet, in RGB, as in every configuration of the original.
PIXEL_MEAN = (123.675, 116.280, 103.530)
PIXEL_STD = (58.395, 57.120, 57.375)


def normalize(
  images: tf.Tensor, padding: tf.Tensor | None = None, dtype: tf.DType = tf.float32
) -> tf.Tensor:
  """Images of mean 0 and deviation 1, about.

  Args:
    images: [b, h, w, 3], RGB levels from 0 to 255.
    padding: [b, h, w] bool, True on the image; what is False becomes zero, as the original pads in
      evaluation and in its COCO training. None where padding has levels of its own
      (`DataConfig.grey_padding`).
    dtype: of the result.

  Returns:
    [b, h, w, 3] of `dtype`.
  """
  mean, std = (tf.constant(each, dtype) for each in (PIXEL_MEAN, PIXEL_STD))
  normalized = (tf.cast(images, dtype) - mean) / std
  return normalized if padding is None else tf.where(padding[..., None], normalized, 0)
