"""Colour changes of SSD (Liu et al. 2016), as the original applies them.

Brightness; then contrast, saturation, hue, or saturation, hue, contrast, with equal chances; each
change is made with probability 1/2. Levels stay between 0 and 255 after each of them.

Deviation: levels are rounded once at the end; the original cuts off fractions after every change.
"""

import tensorflow as tf

from official.training import hsv

DRAWS = 9
_BRIGHTNESS = 32.0  # Levels.
_LOW, _HIGH = 0.5, 1.5  # Factors of contrast and of saturation.
_HUE = 18  # Steps of two degrees.
_STEP = 1 / 30  # Of a step of two degrees, in sixths of a turn.

Planes = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def distort(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
  """Changes an image's colours.

  Args:
    image: [h, w, 3] float32, RGB levels from 0 to 255.
    draws: [9] float32, uniform in [0, 1): whether and how much of brightness, contrast, saturation
      and hue, and in which order.

  Returns:
    [h, w, 3] uint8.
  """
  chosen = draws[0:8:2] < 0.5
  brightness = tf.where(chosen[0], _BRIGHTNESS * (2 * draws[1] - 1), 0.0)
  contrast = tf.where(chosen[1], _LOW + (_HIGH - _LOW) * draws[3], 1.0)
  gain = tf.where(chosen[2], _LOW + (_HIGH - _LOW) * draws[5], 1.0)
  steps = tf.floor(draws[7] * (2 * _HUE + 1)) - _HUE
  first = draws[8] < 0.5
  planes = _levels([plane + brightness for plane in tf.unstack(image, axis=-1)])
  planes = _levels([plane * tf.where(first, contrast, 1.0) for plane in planes])
  branch = tf.where(chosen[3], 2, tf.where(chosen[2], 1, 0))
  planes = tf.switch_case(
    branch,
    [
      lambda: planes,
      lambda: _saturate(planes, gain),
      lambda: _turn(planes, gain, steps * _STEP),
    ],
  )
  return hsv.interleave(*_levels([plane * tf.where(first, 1.0, contrast) for plane in planes]))


def _levels(planes: list[tf.Tensor]) -> Planes:
  red, green, blue = (tf.clip_by_value(plane, 0.0, 255.0) for plane in planes)
  return red, green, blue


def _saturate(planes: Planes, gain: tf.Tensor) -> Planes:
  """Multiplies the saturation, which stops at 1; hue and value stay."""
  value = tf.maximum(tf.maximum(planes[0], planes[1]), planes[2])
  chroma = value - tf.minimum(tf.minimum(planes[0], planes[1]), planes[2])
  factor = tf.minimum(gain, tf.math.divide_no_nan(value, chroma))
  red, green, blue = (value - (value - plane) * factor for plane in planes)
  return red, green, blue


def _turn(planes: Planes, gain: tf.Tensor, sixths: tf.Tensor) -> Planes:
  """Multiplies the saturation, and turns the hue."""
  hue, chroma, value = hsv.to_hcv(*planes)
  return hsv.from_hcv(tf.math.floormod(hue + sixths, 6.0), tf.minimum(chroma * gain, value), value)
