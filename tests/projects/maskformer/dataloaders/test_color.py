"""Colour changes against the original's recipe with OpenCV, and against colorsys."""

import colorsys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from projects.maskformer.dataloaders import color


def draws(brightness=None, contrast=None, saturation=None, hue=None, first=True):
  """Uniform numbers: below 1/2 a change is made; the next number says how much."""
  pairs = [(0.9, 0.5) if each is None else (0.1, each) for each in (brightness, contrast,
           saturation, hue)]  # fmt: skip
  return np.float32([*np.ravel(pairs), 0.1 if first else 0.9])


def image(seed=0, low=0, high=256):
  return np.random.default_rng(seed).integers(low, high, (16, 20, 3)).astype(np.float32)


def distort(pixels, numbers):
  return color.distort(tf.constant(pixels), tf.constant(numbers)).numpy()


def recipe(pixels, brightness=None, contrast=None, saturation=None, hue=None, first=True):
  """The original's order of changes, on levels in double precision; amounts as fractions."""
  levels = pixels.astype(np.float64)
  clip = lambda x: np.clip(x, 0, 255)
  if brightness is not None:
    levels = clip(levels + 64 * brightness - 32)
  change = lambda x: clip(x * (0.5 + contrast)) if contrast is not None else x
  levels = change(levels) if first else levels
  for index in np.ndindex(levels.shape[:2]):
    h, s, v = colorsys.rgb_to_hsv(*(levels[index] / 255))
    s = min(s * (0.5 + saturation), 1) if saturation is not None else s
    h = h + 2 * (int(hue * 37) - 18) / 360 if hue is not None else h
    levels[index] = 255 * np.array(colorsys.hsv_to_rgb(h % 1, s, v))
  return levels if first else change(levels)


CASES = [
  {}, {"brightness": 0.0}, {"brightness": 0.99}, {"contrast": 0.01}, {"contrast": 0.97},
  {"saturation": 0.02}, {"saturation": 0.95}, {"hue": 0.0}, {"hue": 0.999}, {"hue": 0.3},
  {"saturation": 0.9, "hue": 0.8}, {"brightness": 0.2, "contrast": 0.9, "saturation": 0.7},
  {"brightness": 0.9, "contrast": 0.1, "saturation": 0.9, "hue": 0.1},
]  # fmt: skip


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_change_and_their_order(case, first):
  pixels = image()
  pixels[0, 0], pixels[0, 1], pixels[0, 2] = 0, 255, 77  # Greys have no hue.
  ours = distort(pixels, draws(**case, first=first))
  assert ours.dtype == np.uint8
  assert np.abs(ours - recipe(pixels, **case, first=first)).max() < 0.51


def test_the_order_matters():
  case = {"contrast": 0.95, "saturation": 0.95}
  assert not np.array_equal(
    distort(image(), draws(**case)), distort(image(), draws(**case, first=False))
  )


def test_opencvs_hue_and_saturation():
  """In its coarse 8-bit HSV, as the original computes them, to a few levels."""
  pixels = image(1, 40, 220)
  coded = cv2.cvtColor(pixels.astype(np.uint8), cv2.COLOR_RGB2HSV).astype(int)
  coded[..., 0] = (coded[..., 0] + 11) % 180
  coded[..., 1] = np.clip(coded[..., 1] * 1.25, 0, 255)
  theirs = cv2.cvtColor(coded.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(float)
  ours = distort(pixels, draws(saturation=0.75, hue=(11 + 18 + 0.5) / 37))
  assert np.abs(ours - theirs).mean() < 2
  assert np.abs(ours - theirs).max() < 12


def test_each_change_is_made_half_of_the_time():
  numbers = tf.random.stateless_uniform([400, color.DRAWS], [1, 2])
  pixels = tf.constant(image()[:2, :2] * 0.4 + 70)  # Nothing is clipped.
  made = tf.data.Dataset.from_tensor_slices(numbers).map(lambda each: color.distort(pixels, each))
  changed = next(made.batch(400).as_numpy_iterator())
  unchanged = (changed == np.round(pixels)).all((1, 2, 3)).mean()
  assert abs(unchanged - 1 / 16) < 0.035
