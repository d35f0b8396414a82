"""COCO's box AP: pycocotools' definition, computed by hotcoco (the same figures, bit for bit)."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import hotcoco
import numpy as np

Arrays = Mapping[str, np.ndarray]

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


class _Image(NamedTuple):
  """Height and width; annotations as COCO's; detections [n, 6] x, y, w, h, score, category id."""

  size: tuple[int, int]
  annotations: list[dict[str, Any]]
  detections: np.ndarray


class CocoBoxEvaluator:
  """Collects padded batches of detections and ground truth, then computes the 12 figures.

  Args:
    categories: names of the contiguous classes, in order; the class's index is its category id.
  """

  def __init__(self, categories: Sequence[str]) -> None:
    self._categories = [{"id": i, "name": name} for i, name in enumerate(categories)]
    self.reset()

  def reset(self) -> None:
    """Forgets everything that was added."""
    self._images: dict[int, _Image] = {}

  def add(self, truth: Arrays, detections: Arrays) -> None:
    """Adds a batch; an image that was added before is passed over.

    Args:
      truth: `source_id` [b], `height`, `width` [b], `boxes` [b, n, 4] yxyx in pixels of the
        original image, `classes` [b, n], `is_crowd` [b, n], `area` [b, n], `valid` [b, n] bool and
        `present` [b] bool, False for rows that only fill the batch.
      detections: `boxes` [b, m, 4] yxyx in the same pixels, `classes` [b, m], `scores` [b, m] and
        `count` [b], the number of rows that are detections.
    """
    for row, image_id in enumerate(truth["source_id"].tolist()):
      if truth["present"][row] and image_id not in self._images:
        self._images[image_id] = _Image(
          (int(truth["height"][row]), int(truth["width"][row])),
          _annotations({key: truth[key][row] for key in truth}),
          _detections({key: detections[key][row] for key in detections}),
        )

  def state(self) -> dict[int, Any]:
    """What was added, by image; can be pickled."""
    return dict(self._images)

  def merge(self, state: Mapping[int, Any]) -> None:
    """Adds another worker's `state`; images that are known already are passed over."""
    self._images = {**state, **self._images}

  def ground_truth(self) -> dict[str, list]:
    """What was added, as a COCO instances data set, in the order of the image ids."""
    found = sorted(self._images.items())
    images = [{"id": i, "height": one.size[0], "width": one.size[1]} for i, one in found]
    rows = [{"image_id": image_id, **row} for image_id, one in found for row in one.annotations]
    annotations = [{"id": place, **row} for place, row in enumerate(rows, 1)]
    return {"images": images, "annotations": annotations, "categories": self._categories}

  def results(self) -> np.ndarray:
    """The detections: [n, 7] image id, x, y, w, h, score, category id; pixels."""
    parts = [np.insert(one.detections, 0, i, axis=1) for i, one in sorted(self._images.items())]
    return np.concatenate([np.zeros([0, 7]), *parts])

  def evaluate(self) -> dict[str, float]:
    """The 12 figures of `METRICS`, each in 0..1, or −1 where no object is of that size."""
    return summarize(self.ground_truth(), self.results(), "bbox")


def _annotations(truth: Arrays) -> list[dict[str, Any]]:
  valid = truth["valid"].astype(bool)
  boxes = yxyx_to_xywh(truth["boxes"][valid])
  columns = (truth[key][valid].tolist() for key in ("classes", "area", "is_crowd"))
  return [
    {"category_id": category, "bbox": box, "area": area, "iscrowd": int(crowd)}
    for box, category, area, crowd in zip(boxes.tolist(), *columns, strict=True)
  ]


def _detections(detections: Arrays) -> np.ndarray:
  count = int(detections["count"])
  boxes = yxyx_to_xywh(detections["boxes"][:count])
  scores, classes = (detections[key][:count, None] for key in ("scores", "classes"))
  return np.concatenate([boxes, scores, classes], axis=1, dtype=np.float64)


def summarize(
  ground_truth: dict[str, list], results: np.ndarray | list[dict[str, Any]], iou_type: str
) -> dict[str, float]:
  """COCO's 12 figures.

  Args:
    ground_truth: a COCO instances data set.
    results: detections as COCO's results, or boxes [n, 7] as `CocoBoxEvaluator.results` has them.
    iou_type: `bbox` or `segm`.

  Returns:
    the figures of `METRICS`, each in 0..1, or −1 where no object is of that size.
  """
  with contextlib.redirect_stdout(io.StringIO()):
    truth = hotcoco.COCO(ground_truth)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(results), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
  return {name: float(value) for name, value in zip(METRICS, evaluation.stats, strict=True)}


def yxyx_to_xywh(boxes: np.ndarray) -> np.ndarray:
  """Corners yxyx [n, 4] → left, top, width, height [n, 4] float64, as COCO stores boxes."""
  ymin, xmin, ymax, xmax = np.asarray(boxes, np.float64).reshape(-1, 4).T
  return np.stack([xmin, ymin, xmax - xmin, ymax - ymin], axis=1)
