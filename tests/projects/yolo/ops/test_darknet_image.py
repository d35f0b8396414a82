"""Resizing against what Darknet's own functions gave, bit for bit."""

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.ops import darknet_image
from projects.yolo.ops.boxes import to_image_pixels

# Height and width of the image, and of the input. The last one's last row comes out dark.
SIZES = [
  ((37, 53), (64, 96)),
  ((90, 40), (64, 64)),
  ((64, 96), (64, 96)),
  ((1, 7), (32, 32)),
  ((7, 1), (32, 32)),
  ((123, 201), (160, 96)),
  ((256, 80), (64, 64)),
]


def image(size):
  rng = np.random.default_rng(size[0] * 1000 + size[1])
  return rng.integers(0, 256, (*size, 3)).astype(np.uint8)


def sample(array):
  flat = array.reshape(-1)
  return flat[np.linspace(0, flat.size - 1, 256).astype(int)]


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize("name", ["stretch", "letterbox"])
@pytest.mark.parametrize("compiled", [False, True])
def test_pixels_are_darknets(name, size, target, compiled, independent):
  fit = lambda x: getattr(darknet_image, name)(x, *target)
  if compiled:
    fit = tf.function(fit, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
  fitted, info = fit(tf.constant(image(size)))
  assert fitted.shape == (*target, 3)
  assert fitted.dtype == info.dtype == tf.float32
  want = independent[f"{name}/{size[0]}x{size[1]}/{target[0]}x{target[1]}"]
  np.testing.assert_array_equal(sample(fitted.numpy()), want)


def test_the_last_row_may_come_out_dark():
  fitted, _ = darknet_image.stretch(tf.fill([256, 80, 3], tf.constant(200, tf.uint8)), 64, 64)
  assert fitted[-2].numpy().min() > 0.7
  assert fitted[-1].numpy().max() < 0.01


@pytest.mark.parametrize(
  ("name", "scale", "offset"),
  [("stretch", (2, 1), (0, 0)), ("letterbox", (1, 1), (7.5, 0))],
)
def test_boxes_go_back_where_they_came_from(name, scale, offset):
  _, info = getattr(darknet_image, name)(tf.zeros([15, 30, 3], tf.uint8), 30, 30)
  np.testing.assert_allclose(info, [*scale, *offset])
  box = np.array([3.0, 4, 9, 20], np.float32)
  on_input = box * np.tile(scale, 2) + np.tile(offset, 2)
  back = to_image_pixels(tf.constant(on_input[None, None], tf.float32), info[None], [[15, 30]])
  np.testing.assert_allclose(back[0, 0], box, atol=1e-5)
