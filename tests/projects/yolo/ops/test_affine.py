"""Maps against OpenCV and against the matrices of the definition, in float64."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.ops import affine as affine_lib

SIZE = 48
CASES = {
  "identity": (1.0, 0.0, (0.0, 0.0), (0.0, 0.0), False),
  "scale": (0.6, 0.0, (0.0, 0.0), (0.0, 0.0), False),
  "shift": (1.0, 0.0, (0.0, 0.0), (0.1, -0.25), False),
  "rotate": (1.0, 30.0, (0.0, 0.0), (0.0, 0.0), False),
  "shear": (1.0, 0.0, (10.0, -20.0), (0.0, 0.0), False),
  "mirror": (1.3, 0.0, (0.0, 0.0), (0.1, 0.2), True),
  "all": (1.4, -25.0, (12.0, 7.0), (-0.1, 0.15), True),
}


def expected_map(scale, degrees, shear, translate, flip):
  """[2, 3] in (x, y) order, from pixels of a canvas [2s, 2s] to the input."""
  centre = np.eye(3)
  centre[:2, 2] = -SIZE
  rotation = np.eye(3)
  rotation[:2] = cv2.getRotationMatrix2D((0, 0), degrees, scale)
  shears = np.eye(3)
  shears[0, 1], shears[1, 0] = np.tan(np.radians([shear[1], shear[0]]))
  shift = np.eye(3)
  shift[:2, 2] = [(0.5 + translate[1]) * SIZE, (0.5 + translate[0]) * SIZE]
  mirror = np.eye(3)
  if flip:
    mirror[0] = [-1, 0, SIZE]
  return (mirror @ shift @ shears @ rotation @ centre)[:2]


def ours(*values):
  *values, flip = values
  tensors = [tf.constant([value], tf.float32) for value in values]
  return affine_lib.compose(*tensors, tf.constant([flip]), SIZE)


@pytest.mark.parametrize("case", CASES)
def test_points_go_where_the_original_sends_them(case):
  affine, matrix = ours(*CASES[case]), expected_map(*CASES[case])
  points = np.random.default_rng(0).uniform(0, 2 * SIZE, (20, 2))  # (x, y)
  expected = (points @ matrix[:, :2].T + matrix[:, 2])[:, ::-1]
  moved = (points[:, ::-1] - SIZE) @ affine.linear[0].numpy().T + affine.shift[0].numpy()
  np.testing.assert_allclose(moved, expected, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_boxes_enclose_their_moved_corners(case):
  rng = np.random.default_rng(1)
  boxes = np.sort(rng.uniform(0, 2 * SIZE, (10, 2, 2)), 1).reshape(10, 4)
  matrix = expected_map(*CASES[case])
  expected = []
  for top, left, bottom, right in boxes:
    corners = np.array([[x, y] for x in (left, right) for y in (top, bottom)])
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    expected.append([*moved.min(0)[::-1], *moved.max(0)[::-1]])
  moved = affine_lib.apply_to_boxes(ours(*CASES[case]), tf.constant(boxes[None] - SIZE, tf.float32))
  np.testing.assert_allclose(moved[0], expected, atol=1e-3)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_pixels_are_opencvs(case, where):
  noise = np.random.default_rng(2).uniform(0, 255, (12, 12, 3)).astype(np.float32)
  canvas = cv2.resize(noise, (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_LINEAR)
  matrix = expected_map(*CASES[case])
  # OpenCV counts from pixel centres.
  matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
  expected = cv2.warpAffine(canvas, matrix, (SIZE, SIZE), borderValue=(114, 114, 114))
  warp = lambda canvas: affine_lib.warp(
    canvas, affine_lib.Affine(*(each[0] for each in ours(*CASES[case]))), SIZE, 114
  )
  if where == "eager":
    moved = warp(tf.constant(canvas))
  else:
    moved = next(iter(tf.data.Dataset.from_tensors(canvas).map(warp)))
  error = np.abs(moved.numpy() - expected)
  # OpenCV rounds positions to 1/32 pixel; edges of the canvas fall in or out by that.
  assert np.percentile(error, 98) < 3
  assert error.mean() < 0.6


def test_centred_only_moves_the_origin():
  affine = affine_lib.centred(2, 10)
  np.testing.assert_array_equal(affine.linear, np.stack([np.eye(2)] * 2))
  np.testing.assert_array_equal(affine.shift, np.full((2, 2), 5.0))
