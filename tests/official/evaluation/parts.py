"""Evaluators that have seen some of a few random images."""

from collections.abc import Iterable

import numpy as np

from official.evaluation.coco import CocoBoxEvaluator
from official.evaluation.panoptic import PanopticMap, PanopticQuality
from official.evaluation.semantic import SemanticEvaluator

_CLASSES = 3


def evaluators(image_ids: Iterable[int]) -> list:
  """Of boxes, segments and labels; every one has been given the images of these numbers."""
  boxes = CocoBoxEvaluator(["a", "b", "c"])
  segments = PanopticQuality([True, True, False])
  labels = SemanticEvaluator(_CLASSES)
  for image_id in image_ids:
    rng = np.random.default_rng(image_id)
    boxes.add(*_boxes(rng, image_id))
    true, found = rng.integers(0, _CLASSES, [2, 8, 8])
    found = np.where(rng.random([8, 8]) < 0.8, true, found)
    rows = np.arange(1, _CLASSES + 1), np.arange(_CLASSES)
    segments.add(image_id, PanopticMap(true + 1, *rows), PanopticMap(found + 1, *rows))
    labels.add(image_id, true, found)
  return [boxes, segments, labels]


def _boxes(rng: np.random.Generator, image_id: int) -> tuple[dict, dict]:
  corners = rng.uniform(0, 50, [1, 4, 2])
  boxes = np.concatenate([corners, corners + rng.uniform(5, 50, [1, 4, 2])], -1)
  truth = {
    "source_id": np.array([image_id]),
    "height": np.array([100]),
    "width": np.array([100]),
    "boxes": boxes,
    "classes": rng.integers(0, _CLASSES, [1, 4]),
    "is_crowd": np.zeros([1, 4], bool),
    "area": np.prod(boxes[..., 2:] - boxes[..., :2], -1),
    "valid": np.ones([1, 4], bool),
    "present": np.array([True]),
  }
  detections = {
    "boxes": boxes + rng.normal(0, 2, boxes.shape),
    "classes": truth["classes"],
    "scores": rng.random([1, 4]),
    "count": np.array([4]),
  }
  return truth, detections
