"""Mask AP against pycocotools: all 12 figures bit for bit."""

import contextlib
import copy
import io
import pickle

import numpy as np
import pytest
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from official.evaluation.coco import METRICS
from official.evaluation.coco_masks import CocoMaskEvaluator, FoundMasks, TrueMasks, encode_masks

SIZE, CLASSES = (120, 160), 4


def _ellipses(rng, parameters):
  y, x = np.mgrid[: SIZE[0], : SIZE[1]]
  cy, cx, ry, rx = np.moveaxis(parameters, -1, 0)
  return ((y[..., None] - cy) / ry) ** 2 + ((x[..., None] - cx) / rx) ** 2 < 1


def _random_image(rng, objects=6, detections=12):
  where = np.stack(
    [*(rng.random([2, objects]) * np.array(SIZE)[:, None]), *rng.uniform(4, 70, [2, objects])], -1
  )
  masks = _ellipses(rng, where)
  classes = rng.integers(0, CLASSES, objects)
  truth = TrueMasks(
    encode_masks(masks),
    classes,
    masks.sum((0, 1)) * rng.uniform(0.7, 1, objects),
    rng.random(objects) < 0.2,
  )
  source = rng.integers(0, objects, detections)
  near = where[source] + rng.normal(0, 3, [detections, 4])
  near[:, 2:] = np.maximum(near[:, 2:], 1)
  wrong = rng.random(detections) < 0.2
  labels = np.where(wrong, rng.integers(0, CLASSES, detections), classes[source])
  # Coarse scores: ties are where implementations part.
  scores = np.round(rng.random(detections), 1)
  return SIZE, truth, FoundMasks(encode_masks(_ellipses(rng, near)), labels, scores)


def _evaluator(images):
  evaluator = CocoMaskEvaluator("abcd")
  for image_id, image in images.items():
    evaluator.add(image_id, *image)
  return evaluator


def _pycocotools(evaluator):
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = copy.deepcopy(evaluator.ground_truth())
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(evaluator.results())), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
  return evaluation.stats


@pytest.mark.parametrize("seed", range(4))
def test_all_figures_equal_pycocotools(seed):
  rng = np.random.default_rng(seed)
  evaluator = _evaluator({image_id: _random_image(rng) for image_id in range(1, 13)})
  got = evaluator.evaluate()
  assert list(got) == list(METRICS)
  np.testing.assert_array_equal(list(got.values()), _pycocotools(evaluator))
  assert 0.1 < got["AP"] < 0.9
  assert got["APs"] > 0


def test_run_lengths_are_pycocotools():
  masks = np.random.default_rng(0).random([30, 40, 5]) < 0.4
  for got, mask in zip(encode_masks(masks), np.moveaxis(masks, -1, 0), strict=True):
    assert got == mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
  assert encode_masks(np.zeros([4, 5, 0], bool)) == []


def test_hand_count():
  masks = np.zeros([100, 100, 2], bool)
  masks[10:60, 10:60, 0] = masks[60:90, 60:90, 1] = True
  codes = encode_masks(masks)
  truth = TrueMasks(codes, np.array([0, 1]), np.array([2500, 900]), np.array([False, False]))
  evaluator = CocoMaskEvaluator("ab")
  found = FoundMasks(codes, np.array([0, 0]), np.array([0.9, 0.8]))
  evaluator.add(3, (100, 100), truth, found)
  # Class a is found whole (its false alarm scores lower), class b is missed.
  figures = evaluator.evaluate()
  assert figures["AP"] == pytest.approx(0.5)
  assert figures["APs"] == 0
  assert figures["APm"] == pytest.approx(1)
  assert figures["APl"] == -1


def test_annotated_areas_and_crowds_count():
  masks = np.zeros([100, 100, 2], bool)
  masks[10:60, 10:60, 0] = masks[60:90, 60:90, 1] = True
  codes = encode_masks(masks)
  truth = TrueMasks(codes, np.array([0, 0]), np.array([500, 900]), np.array([False, True]))
  evaluator = CocoMaskEvaluator("a")
  evaluator.add(1, (100, 100), truth, FoundMasks(codes[:1], np.array([0]), np.array([0.9])))
  figures = evaluator.evaluate()
  # By its annotation the object is small; the crowd need not be found.
  assert figures["AP"] == figures["APs"] == pytest.approx(1)
  assert figures["APm"] == -1


def test_merged_workers_equal_one_and_repeated_images_do_not_count():
  rng = np.random.default_rng(1)
  images = {image_id: _random_image(rng) for image_id in (5, 2, 9, 4)}
  whole = _evaluator(images)
  first = _evaluator({image_id: images[image_id] for image_id in (9, 2)})
  second = _evaluator({4: images[4], 5: images[5], 2: _random_image(rng)})
  first.merge(pickle.loads(pickle.dumps(second.state())))
  first.add(4, *_random_image(rng))
  assert first.evaluate() == whole.evaluate()
  assert first.ground_truth() == whole.ground_truth()


def test_nothing_found():
  size, truth, _ = _random_image(np.random.default_rng(2))
  evaluator = CocoMaskEvaluator("abcd")
  evaluator.add(1, size, truth, FoundMasks([], np.zeros(0, int), np.zeros(0)))
  assert evaluator.evaluate()["AP"] == 0
  evaluator.reset()
  assert evaluator.results() == []
