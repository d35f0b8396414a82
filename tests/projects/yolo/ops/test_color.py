"""HSV against Python's colorsys in float64."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.ops import color

GAINS = [(1, 1, 1), (1.015, 1.7, 1.4), (0.985, 0.3, 0.6), (1.9, 1.2, 0.9), (1, 0, 1)]


def colorsys_gains(image, gains):
  """Rounded levels [h, w, 3]; hue beyond a turn begins anew, the rest stops at 1."""
  out = np.empty(image.shape)
  for index in np.ndindex(image.shape[:2]):
    h, s, v = colorsys.rgb_to_hsv(*(image[index] / 255))
    h, s, v = (h * gains[0]) % 1, min(s * gains[1], 1), min(v * gains[2], 1)
    out[index] = colorsys.hsv_to_rgb(h, s, v)
  return out * 255


def colors():
  """All corners, edges and greys of the colour cube, and random colours."""
  levels = np.array([0, 1, 127, 254, 255])
  grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
  noise = np.random.default_rng(0).integers(0, 256, (275, 3))
  return np.concatenate([grid, noise]).reshape(20, 20, 3).astype(np.float32)


@pytest.mark.parametrize("gains", GAINS)
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_adjust_hsv_is_colorsys(gains, where):
  image = colors()
  if where == "eager":
    ours = color.adjust_hsv(tf.constant(image), tf.constant(gains, tf.float32))
  else:
    inputs = tf.data.Dataset.from_tensors((image, np.float32(gains)))
    ours = next(iter(inputs.map(color.adjust_hsv)))
  assert ours.dtype == tf.uint8
  error = np.abs(ours.numpy() - colorsys_gains(np.float64(image), gains))
  assert error.max() < 0.5 + 1e-3  # Nothing but the rounding to whole levels.


def test_gains_of_one_change_nothing():
  image = colors()
  np.testing.assert_array_equal(color.adjust_hsv(tf.constant(image), tf.ones(3)), image)


def test_fractional_levels_are_rounded():
  ours = color.adjust_hsv(tf.fill([1, 2, 3], 100.6), tf.ones(3))
  assert ours.numpy().ravel().tolist() == [101] * 6
