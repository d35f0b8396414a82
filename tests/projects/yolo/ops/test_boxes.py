"""Box arithmetic against pycocotools and the papers' formulas in NumPy float64."""

import math

import numpy as np
import pytest
import tensorflow as tf
from pycocotools import mask

from projects.yolo.ops import boxes

RNG = np.random.default_rng(0)


def _random(count):
  corner = RNG.uniform(0, 80, [count, 2])
  return np.concatenate([corner, corner + RNG.uniform(1, 60, [count, 2])], -1)


def _to_coco(yxyx):
  y0, x0, y1, x1 = yxyx.T
  return np.stack([x0, y0, x1 - x0, y1 - y0], -1)


def _ciou(a, b, weight=None):
  """CIoU of one pair and its weight α (or α as given), written out from Zheng et al. 2020."""
  (ay0, ax0, ay1, ax1), (by0, bx0, by1, bx1) = a, b
  overlap = max(0, min(ay1, by1) - max(ay0, by0)) * max(0, min(ax1, bx1) - max(ax0, bx0))
  iou = overlap / ((ay1 - ay0) * (ax1 - ax0) + (by1 - by0) * (bx1 - bx0) - overlap)
  distance = ((ax0 + ax1 - bx0 - bx1) ** 2 + (ay0 + ay1 - by0 - by1) ** 2) / 4
  diagonal = (max(ax1, bx1) - min(ax0, bx0)) ** 2 + (max(ay1, by1) - min(ay0, by0)) ** 2
  angle = math.atan((bx1 - bx0) / (by1 - by0)) - math.atan((ax1 - ax0) / (ay1 - ay0))
  v = 4 / math.pi**2 * angle**2
  weight = v / (1 - iou + v) if weight is None else weight
  return iou - distance / diagonal - weight * v, weight


def test_iou_equals_pycocotools():
  a, b = _random(40), _random(30)
  want = mask.iou(_to_coco(a), _to_coco(b), [0] * 30)
  np.testing.assert_allclose(boxes.iou(tf.constant(a[:, None]), tf.constant(b)), want, atol=1e-12)


@pytest.mark.parametrize("exponent", [1.0, 0.6])
def test_diou_is_iou_less_the_distance(exponent):
  a, b = _random(50), _random(50)
  overlap = boxes.iou(tf.constant(a), tf.constant(b))
  centres = (a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2
  around = np.maximum(a[:, 2:], b[:, 2:]) - np.minimum(a[:, :2], b[:, :2])
  share = (centres**2).sum(1) / (around**2).sum(1)
  got = boxes.diou(tf.constant(a), tf.constant(b), exponent)
  np.testing.assert_allclose(got, overlap - share**exponent, atol=1e-12)
  same = boxes.diou(tf.constant(a), tf.constant(a), exponent)
  np.testing.assert_allclose(same, 1, atol=1e-12)


def test_ciou_is_the_papers():
  a, b = _random(50), _random(50)
  want = [_ciou(*pair)[0] for pair in zip(a, b, strict=True)]
  np.testing.assert_allclose(boxes.ciou(tf.constant(a), tf.constant(b)), want, atol=1e-9)


def test_gradient_of_ciou_takes_the_weight_as_a_constant():
  a, b = _random(20), _random(20)
  tensor = tf.constant(a)
  with tf.GradientTape() as tape:
    tape.watch(tensor)
    overlap = boxes.ciou(tensor, tf.constant(b))
  gradient = tape.gradient(overlap, tensor).numpy()
  for row, side in np.ndindex(a.shape):
    weight, step = _ciou(a[row], b[row])[1], np.eye(4)[side] * 1e-5
    up, down = (_ciou(a[row] + sign * step, b[row], weight)[0] for sign in (1, -1))
    np.testing.assert_allclose(gradient[row, side], (up - down) / 2e-5, rtol=1e-5, atol=1e-8)


def test_degenerate_boxes_have_finite_overlap_and_gradient():
  a = tf.constant([[0.0, 0, 0, 0], [5, 5, 1, 1], [0, 0, 1, 1]])
  b = tf.constant([[0.0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
  with tf.GradientTape() as tape:
    tape.watch(a)
    overlap = boxes.ciou(a, b)
  assert np.isfinite(overlap).all()
  assert np.isfinite(tape.gradient(overlap, a)).all()


def test_corners_and_centres_are_inverse():
  a = tf.constant(_random(20))
  np.testing.assert_allclose(boxes.xywh_to_yxyx(boxes.yxyx_to_xywh(a)), a, atol=1e-12)
  np.testing.assert_allclose(boxes.yxyx_to_xywh(tf.constant([[1.0, 2, 5, 10]])), [[6, 3, 8, 4]])


def test_to_image_pixels_undoes_the_letterbox_and_clips():
  # A 100×200 image at scale 0.5 on a 100² input, 25 rows of padding above.
  info, size = tf.constant([[0.5, 0.5, 25, 0]]), tf.constant([[100, 200]])
  on_input = tf.constant([[[30.0, 10, 70, 60], [0, -5, 100, 120]]])
  got = boxes.to_image_pixels(on_input, info, size)
  np.testing.assert_allclose(got, [[[10, 20, 90, 120], [0, 0, 100, 200]]])
