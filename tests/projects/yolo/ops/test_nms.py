"""Suppression against a greedy loop that is written out, and against TensorFlow's own op."""

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.ops.boxes import iou
from projects.yolo.ops.nms import detect, suppress

THRESHOLD = 0.45


def _iou(a, b):
  sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
  overlap = sides.prod()
  return overlap / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap)


def _diou(a, b, exponent):
  around = np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2])
  apart = (a[2:] + a[:2] - b[2:] - b[:2]) / 2
  return _iou(a, b) - (apart @ apart / (around @ around)) ** exponent


def _greedy(boxes, scores, score_threshold, count, overlap=_iou):
  """Every (box, class) pair by descending score; kept unless a kept one of its class overlaps."""
  pairs = sorted(np.ndindex(scores.shape), key=lambda pair: -scores[pair])
  kept = []
  for box, category in pairs:
    if scores[box, category] <= score_threshold:
      break
    rivals = [other for other, c in kept if c == category]
    if all(overlap(boxes[box], boxes[other]) <= THRESHOLD for other in rivals):
      kept.append((box, category))
  return kept[:count]


def _scene(seed, count=60, classes=3):
  rng = np.random.default_rng(seed)
  corner = rng.uniform(0, 60, [count, 2])
  boxes = np.concatenate([corner, corner + rng.uniform(8, 40, [count, 2])], -1)
  return boxes.astype(np.float32), rng.permutation(count * classes).reshape(count, classes) / 200


def _detect(boxes, scores, **changes):
  limits = {
    "score_threshold": 0.2,
    "iou_threshold": THRESHOLD,
    "candidates": 180,
    "max_detections": 50,
  }
  return detect(tf.cast(boxes, tf.float32), tf.cast(scores, tf.float32), **limits | changes)


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_greedy_loop(seed):
  boxes, scores = zip(*(_scene(seed + 10 * i) for i in range(2)), strict=True)
  found = _detect(boxes, scores)
  for row in range(2):
    kept = _greedy(boxes[row], scores[row], 0.2, 50)
    count = int(found["count"][row])
    assert count == len(kept) > 10
    np.testing.assert_array_equal(found["boxes"][row, :count], [boxes[row][b] for b, _ in kept])
    np.testing.assert_array_equal(found["classes"][row, :count], [c for _, c in kept])
    assert (found["classes"][row, count:].numpy() == -1).all()


@pytest.mark.parametrize("exponent", [0.6, 1.0])
@pytest.mark.parametrize("seed", range(2))
def test_distance_iou_equals_a_greedy_loop(seed, exponent):
  boxes, scores = _scene(seed, count=200)
  found = _detect(boxes[None], scores[None], score_threshold=1.5, diou_exponent=exponent)
  kept = _greedy(boxes, scores, 1.5, 50, lambda a, b: _diou(a, b, exponent))
  count = int(found["count"][0])
  assert kept != _greedy(boxes, scores, 1.5, 50)
  np.testing.assert_array_equal(found["boxes"][0, :count], [boxes[b] for b, _ in kept])
  np.testing.assert_array_equal(found["classes"][0, :count], [c for _, c in kept])


def test_a_huge_box_does_not_blur_the_others():
  boxes = np.array([[0, 0, 1e7, 1e7], [5, 5, 15, 15], [5, 6, 15, 16], [5, 50, 15, 60]], np.float32)
  scores = np.zeros([4, 80], np.float32)
  scores[range(4), [0, 79, 79, 79]] = 0.5, 0.9, 0.8, 0.7
  found = _detect(boxes[None], scores[None])
  np.testing.assert_allclose(found["scores"][0, :4], [0.9, 0.7, 0.5, 0])


@pytest.mark.parametrize("seed", range(3))
def test_equals_tensorflows_op(seed):
  boxes, scores = _scene(seed, classes=1)
  want = tf.image.non_max_suppression(boxes, scores[:, 0], 60, THRESHOLD, 0.1)
  found = _detect(boxes[None], scores[None], score_threshold=0.1, max_detections=60)
  count = int(found["count"][0])
  np.testing.assert_array_equal(found["boxes"][0, :count], boxes[want.numpy()])


def test_long_chain_alternates():
  # Each box overlaps only its neighbours, so greedy keeps every other one: the longest settling.
  left = np.arange(64) * 4.0
  boxes = np.stack([np.zeros(64), left, np.full(64, 10.0), left + 10], -1)
  same = iou(tf.constant(boxes[:, None]), tf.constant(boxes)) > 0.4
  keep = suppress(same[None], tf.ones([1, 64], tf.bool))
  np.testing.assert_array_equal(keep[0], np.arange(64) % 2 == 0)


def test_graph_and_xla_equal_eager():
  boxes, scores = _scene(0)
  eager = _detect(boxes[None], scores[None])
  for jit in (False, True):
    compiled = tf.function(_detect, jit_compile=jit)(boxes[None], scores[None])
    for key, value in eager.items():
      np.testing.assert_array_equal(compiled[key], value)
      assert compiled[key].shape == value.shape


def test_fewer_candidates_than_rows_are_padded():
  found = _detect(np.array([[[0, 0, 5, 5]]]), np.array([[[0.9, 0.1]]]), max_detections=7)
  assert found["boxes"].shape == (1, 7, 4)
  np.testing.assert_array_equal(found["classes"], [[0, -1, -1, -1, -1, -1, -1]])
  assert found["count"].numpy() == [1]
