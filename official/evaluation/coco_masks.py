"""COCO's mask AP: pycocotools' definition, computed by hotcoco."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco
import numpy as np

from official.evaluation.coco import summarize

Rle = dict[str, Any]  # Run lengths, {"size": [h, w], "counts": bytes}.


def encode_masks(masks: np.ndarray) -> list[Rle]:
  """Masks [h, w, n] bool or uint8 → the run lengths of each; about a thousandth of the memory."""
  # One at a time: hotcoco wants columns together, which for all masks at once is a large copy.
  return [hotcoco.mask.encode(np.asfortranarray(mask)) for mask in np.moveaxis(masks, -1, 0)]


@dataclasses.dataclass(frozen=True)
class TrueMasks:
  """Ground truth of one image: `masks` [n], contiguous `classes` [n], `areas` [n] in pixels (by
  COCO's annotation; they decide which objects are small, medium and large) and `is_crowd` [n]."""

  masks: Sequence[Rle]
  classes: np.ndarray
  areas: np.ndarray
  is_crowd: np.ndarray


@dataclasses.dataclass(frozen=True)
class FoundMasks:
  """Predictions for one image: `masks` [n], contiguous `classes` [n], `scores` [n] in 0..1."""

  masks: Sequence[Rle]
  classes: np.ndarray
  scores: np.ndarray


class CocoMaskEvaluator:
  """Collects images one by one, then computes the 12 figures.

  Args:
    categories: names of the contiguous classes, in order; the class's index is its category id.
  """

  def __init__(self, categories: Sequence[str]) -> None:
    self._categories = [{"id": i, "name": name} for i, name in enumerate(categories)]
    self.reset()

  def reset(self) -> None:
    """Forgets everything that was added."""
    self._images: dict[int, tuple[tuple[int, int], TrueMasks, FoundMasks]] = {}

  def add(self, image_id: int, size: tuple[int, int], truth: TrueMasks, found: FoundMasks) -> None:
    """Adds an image of `size` (height, width); one that was added before is passed over."""
    self._images.setdefault(image_id, (size, truth, found))

  def state(self) -> Mapping[int, Any]:
    """What was added, by image; can be pickled."""
    return dict(self._images)

  def merge(self, state: Mapping[int, Any]) -> None:
    """Adds another worker's `state`; images that are known already are passed over."""
    self._images = {**state, **self._images}

  def ground_truth(self) -> dict[str, list]:
    """What was added, as a COCO instances data set."""
    rows = [row for image_id in sorted(self._images) for row in self._true_rows(image_id)]
    annotations = [{"id": place, **row} for place, row in enumerate(rows, 1)]
    images = [
      {"id": image_id, "height": height, "width": width}
      for image_id, ((height, width), _, _) in sorted(self._images.items())
    ]
    return {"images": images, "annotations": annotations, "categories": self._categories}

  def results(self) -> list[dict[str, Any]]:
    """The predictions, as COCO's results."""
    return [
      {
        "image_id": image_id,
        "category_id": int(found.classes[row]),
        "segmentation": mask,
        "score": float(found.scores[row]),
      }
      for image_id, (_, _, found) in sorted(self._images.items())
      for row, mask in enumerate(found.masks)
    ]

  def evaluate(self) -> dict[str, float]:
    """The 12 figures of `METRICS`, each in 0..1, or −1 where no object is of that size."""
    return summarize(self.ground_truth(), self.results(), "segm")

  def _true_rows(self, image_id: int) -> list[dict[str, Any]]:
    _, truth, _ = self._images[image_id]
    return [
      {
        "image_id": image_id,
        "category_id": int(truth.classes[row]),
        "segmentation": mask,
        "bbox": hotcoco.mask.to_bbox(mask).tolist(),
        "area": float(truth.areas[row]),
        "iscrowd": int(truth.is_crowd[row]),
      }
      for row, mask in enumerate(truth.masks)
    ]
