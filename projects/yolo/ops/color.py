"""Colour changes in HSV."""

import tensorflow as tf

from official.training import hsv


def adjust_hsv(image: tf.Tensor, gains: tf.Tensor) -> tf.Tensor:
  """Multiplies hue, saturation and value, as Scaled-YOLOv4 does (but does not quantize the hue).

  The hue goes on past a full turn; saturation and value stop at their maximum.

  Args:
    image: [h, w, 3] float32, RGB levels from 0 to 255.
    gains: [3] float32, factors of hue (at most 2), saturation and value.

  Returns:
    [h, w, 3] uint8, rounded.
  """
  hue_gain, saturation_gain, value_gain = tf.unstack(gains)
  hue, chroma, value = hsv.to_hcv(*tf.unstack(image, axis=-1))
  hue *= hue_gain
  hue = tf.where(hue >= 6.0, hue - 6.0, hue)
  saturation = tf.minimum(tf.math.divide_no_nan(chroma, value) * saturation_gain, 1.0)
  value = tf.minimum(value * value_gain, 255.0)
  return hsv.interleave(*hsv.from_hcv(hue, saturation * value, value))
