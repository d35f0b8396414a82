"""COCO AP against pycocotools: all 12 figures bit for bit."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from official.evaluation.coco import METRICS, CocoBoxEvaluator


def _random_batch(rng, images, first_id, classes=5, objects=8, detections=20):
  size = np.array([480, 640, 480, 640])
  shape = [images, objects]
  boxes = _boxes(rng, shape, size)
  truth = {
    "source_id": first_id + np.arange(images),
    "height": np.full(images, 480),
    "width": np.full(images, 640),
    "boxes": boxes,
    "classes": rng.integers(0, classes, shape),
    "is_crowd": rng.random(shape) < 0.15,
    "area": np.prod(boxes[..., 2:] - boxes[..., :2], -1) * rng.uniform(0.4, 1, shape),
    "valid": rng.random(shape) < 0.7,
    "present": np.ones(images, bool),
  }
  source = rng.integers(0, objects, detections)
  near = boxes[:, source]
  near = near + rng.normal(0, 6, near.shape) * (rng.random([images, detections, 1]) < 0.8)
  # Coarse scores: ties are where implementations part.
  scores = np.round(rng.random([images, detections]), 2)
  found = {
    "boxes": near.astype(np.float32),
    "classes": np.where(
      rng.random([images, detections]) < 0.8,
      truth["classes"][:, source],
      rng.integers(0, classes, [images, detections]),
    ),
    "scores": scores.astype(np.float32),
    "count": rng.integers(0, detections + 1, images),
  }
  return truth, found


def _boxes(rng, shape, size):
  corner = rng.random([*shape, 2]) * 0.8
  extent = rng.random([*shape, 2]) ** 3 * 0.5 + 0.02
  return (np.concatenate([corner, np.minimum(corner + extent, 1)], -1) * size).astype(np.float32)


def _pycocotools(evaluator):
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = evaluator.ground_truth()
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(evaluator.results()), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
  return evaluation.stats


@pytest.mark.parametrize("seed", range(5))
def test_all_figures_equal_pycocotools(seed):
  rng = np.random.default_rng(seed)
  evaluator = CocoBoxEvaluator([f"class {i}" for i in range(5)])
  for batch in range(4):
    evaluator.add(*_random_batch(rng, images=8, first_id=8 * batch + 1))
  got = evaluator.evaluate()
  want = _pycocotools(evaluator)
  assert list(got) == list(METRICS)
  np.testing.assert_array_equal(list(got.values()), want)
  assert 0.01 < got["AP"] < 0.9


def test_hand_count():
  evaluator = CocoBoxEvaluator(["a", "b"])
  box = np.array([[[10, 20, 60, 100], [0, 0, 40, 40]]], np.float32)
  truth = {
    "source_id": np.array([7]),
    "height": np.array([200]),
    "width": np.array([200]),
    "boxes": box,
    "classes": np.array([[0, 1]]),
    "is_crowd": np.array([[False, False]]),
    "area": np.array([[4000.0, 1600.0]]),
    "valid": np.array([[True, True]]),
    "present": np.array([True]),
  }
  found = {
    "boxes": box,
    "classes": np.array([[0, 0]]),
    "scores": np.array([[0.9, 0.8]]),
    "count": np.array([2]),
  }
  evaluator.add(truth, found)
  # Class a is found whole (its false alarm scores lower), class b is missed.
  figures = evaluator.evaluate()
  assert figures["AP"] == pytest.approx(0.5)
  assert figures["AR100"] == pytest.approx(0.5)
  assert figures["APl"] == -1


def test_padding_and_repeated_images_do_not_count():
  rng = np.random.default_rng(1)
  once, twice = CocoBoxEvaluator("abcde"), CocoBoxEvaluator("abcde")
  truth, found = _random_batch(rng, images=6, first_id=1)
  once.add(truth, found)
  twice.add(truth, found)
  twice.add(truth, found)
  absent, junk = _random_batch(rng, images=6, first_id=100)
  absent["present"][:] = False
  twice.add(absent, junk)
  assert once.evaluate() == twice.evaluate()


def test_nothing_found():
  evaluator = CocoBoxEvaluator("abcde")
  truth, found = _random_batch(np.random.default_rng(2), images=3, first_id=1)
  found["count"][:] = 0
  evaluator.add(truth, found)
  assert evaluator.evaluate()["AP"] == 0
