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


def _greedy(boxes, scores, score_threshold, count):
  """Every (box, class) pair by descending score; kept unless a kept one of its class overlaps."""
  pairs = sorted(np.ndindex(scores.shape), key=lambda pair: -scores[pair])
  kept = []
  for box, category in pairs:
    if scores[box, category] <= score_threshold:
      break
    rivals = [other for other, c in kept if c == category]
    if all(_iou(boxes[box], boxes[other]) <= THRESHOLD for other in rivals):
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
