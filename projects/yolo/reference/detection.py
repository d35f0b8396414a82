"""From raw outputs to detections, in NumPy, box by box: what the project's suppression must choose.

Class by class, a box is kept unless one with a higher score that is kept overlaps it by more than
the threshold.
"""

import functools
from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np
import torch

from projects.yolo.reference.layers import Yolo
from projects.yolo.reference.loss import decode


def detect(
  raw: Mapping[str, np.ndarray],
  heads: Mapping[str, Yolo],
  score_threshold: float,
  iou_threshold: float,
  candidates: int,
  max_detections: int,
  diou_exponent: float | None = None,
) -> dict[str, np.ndarray]:
  """Detections of a batch.

  Args:
    raw: [b, anchors, h, w, 5 + classes] by level.
    heads: the layers that they come from, by level.
    score_threshold: pairs of a box and a class with a score not above it are no candidates.
    iou_threshold: boxes of a class that overlap by more are one object.
    candidates: how many pairs of an image are looked at, best first.
    max_detections: rows of the result.
    diou_exponent: overlap is IoU less (d²/c²) to this power; None: IoU.

  Returns:
    `boxes` [b, m, 4] yxyx in pixels of the input, `scores` [b, m], `classes` [b, m], best first and
    filled up with 0 and −1; `count` [b].
  """
  levels = sorted(raw, key=int)
  parts = [_decoded(raw[level], int(level), heads[level]) for level in levels]
  boxes, scores = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
  overlap = _iou if diou_exponent is None else functools.partial(_diou, exponent=diou_exponent)
  limits = (overlap, score_threshold, iou_threshold, candidates, max_detections)
  rows = [_suppressed(*image, *limits) for image in zip(boxes, scores, strict=True)]
  return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _decoded(outputs: np.ndarray, level: int, head: Yolo) -> tuple[np.ndarray, np.ndarray]:
  """Boxes [b, n, 4] xywh in pixels and scores [b, n, classes]; places by row, column, anchor."""
  if outputs.dtype == ml_dtypes.bfloat16:  # Boxes in pixels want more digits.
    outputs = outputs.astype(np.float32)
  tensor = torch.tensor(outputs).permute(0, 2, 3, 1, 4)  # [b, h, w, anchors, 5 + classes]
  rows, columns = torch.meshgrid(*map(torch.arange, tensor.shape[1:3]), indexing="ij")
  cells = torch.stack([columns, rows], dim=-1)[:, :, None]
  anchors = tensor.new_tensor(head.anchors) / 2**level
  boxes = decode(tensor, cells, anchors, head) * 2**level
  scores = tensor[..., 4:5].sigmoid() * tensor[..., 5:].sigmoid()
  return boxes.flatten(1, 3).numpy(), scores.flatten(1, 3).numpy()


def _suppressed(
  boxes: np.ndarray,
  scores: np.ndarray,
  overlap: Callable[[np.ndarray, np.ndarray], float],
  score_threshold: float,
  iou_threshold: float,
  candidates: int,
  max_detections: int,
) -> dict[str, np.ndarray]:
  """One image: boxes [n, 4] xywh, scores [n, classes]; the rest as of `detect`."""
  found = {
    "boxes": np.zeros((max_detections, 4), boxes.dtype),
    "scores": np.zeros(max_detections, scores.dtype),
    "classes": np.full(max_detections, -1),
    "count": np.array(0),
  }
  half = boxes[:, 2:] / 2
  corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)[:, [1, 0, 3, 2]]
  kept: dict[int, list[int]] = {}
  for pair in np.argsort(-scores, axis=None, kind="stable")[:candidates]:
    box, label = divmod(int(pair), scores.shape[1])
    if scores[box, label] <= score_threshold or found["count"] == max_detections:
      break
    rivals = kept.setdefault(label, [])
    if any(overlap(corners[box], corners[rival]) > iou_threshold for rival in rivals):
      continue
    rivals.append(box)
    row = int(found["count"])
    found["boxes"][row], found["scores"][row] = corners[box], scores[box, label]
    found["classes"][row] = label
    found["count"] += 1
  return found


def _iou(a: np.ndarray, b: np.ndarray) -> float:
  sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
  overlap = sides.prod()
  return overlap / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap)


def _diou(a: np.ndarray, b: np.ndarray, exponent: float) -> float:
  around = np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2])
  apart = (a[:2] + a[2:] - b[:2] - b[2:]) / 2
  return _iou(a, b) - (apart @ apart / (around @ around)) ** exponent
