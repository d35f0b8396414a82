"""Mosaics of nine are the original's, as `mosaic_nine_recipe.py` recorded them."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.ops import affine as affine_lib
from projects.yolo.ops import mosaic, mosaic_nine
from tests.projects.yolo.ops import mosaic_nine_recipe as recipe
from tests.projects.yolo.ops.test_mosaic import picture

SIZE = recipe.SIZE


@pytest.fixture(scope="module")
def originals():
  with np.load(pathlib.Path(__file__).with_name("mosaic_nine.npz")) as file:
    return dict(file)


@pytest.fixture(scope="module")
def scenes(originals):
  """Of all scenes: images, and the placement of their nine tiles."""
  shapes = np.stack([originals[f"{i}/shapes"] for i in range(recipe.SCENES)])
  offsets = np.stack([originals[f"{i}/offset"] for i in range(recipe.SCENES)])
  levels = np.arange(9 * recipe.SCENES) % 9 + 1
  images = [
    np.full((*shape, 3), level, np.uint8)
    for shape, level in zip(shapes.reshape(-1, 2), levels, strict=True)
  ]
  placement = mosaic_nine.place(
    tf.constant(np.arange(len(images)).reshape(-1, 9), tf.int32),
    tf.constant(shapes, tf.float32),
    tf.constant(offsets, tf.float32),
    tf.constant([True] * recipe.SCENES),
  )
  return images, placement


def draw(images, placement, affine, size):
  drawers = mosaic_nine.drawers(picture(images), placement, affine, size)
  return [draw().numpy() for draw in drawers]


def test_the_canvas_is_the_originals(originals, scenes):
  to_canvas = affine_lib.centred(recipe.SCENES, 2 * SIZE)
  for index, canvas in enumerate(draw(*scenes, to_canvas, 2 * SIZE)):
    expected = originals[f"{index}/picture"]
    assert set(np.unique(expected)) >= {1, 114}  # The middle is in view, and there are gaps.
    np.testing.assert_array_equal(canvas, np.repeat(expected[..., None], 3, 2))


def test_boxes_are_the_originals(originals, scenes):
  images, placement = scenes
  boxes = tf.constant([[recipe.BOX]] * len(images), tf.float32)
  on_canvas = mosaic.place_boxes(placement, boxes)
  moved = affine_lib.apply_to_boxes(affine_lib.centred(recipe.SCENES, 2 * SIZE), on_canvas)
  clipped = np.clip(moved, 0, 2 * SIZE)
  for index in range(recipe.SCENES):
    np.testing.assert_allclose(clipped[index], originals[f"{index}/boxes"], atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
def test_a_map_moves_the_whole(scenes, flip):
  """Twice the canvas, mirrored: every pixel is one of the canvas, but for edges between tiles."""
  count = recipe.SCENES
  canvases = draw(*scenes, affine_lib.centred(count, 2 * SIZE), 2 * SIZE)
  zero = tf.zeros(count)
  twice = affine_lib.compose(
    tf.fill([count], 2.0), zero, tf.stack([zero, zero], 1), tf.stack([zero, zero], 1),
    tf.fill([count], flip), 4 * SIZE,
  )  # fmt: skip
  for canvas, large in zip(canvases, draw(*scenes, twice, 4 * SIZE), strict=True):
    expected = np.repeat(np.repeat(canvas[:, ::-1] if flip else canvas, 2, 0), 2, 1)
    assert (np.abs(large - expected).max(-1) > 0.01).mean() < 0.01


def test_used_says_whose_boxes_count(scenes):
  _, placement = scenes
  chosen = [True, False, True, False, False]
  again = mosaic_nine.place(
    placement.sources, placement.extent, -placement.centre, tf.constant(chosen)
  )
  assert again.used.numpy().tolist() == [[each] * 9 for each in chosen]
