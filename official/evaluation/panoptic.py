"""Panoptic quality: panopticapi's definition, to the last digit.

A predicted segment matches one of the ground truth when both are of the same class and overlap by
more than half (intersection over union, void left out). PQ = sum of those IoUs / (matches + half of
the false and half of the missed ones) = SQ · RQ, for each class, then averaged over classes. Crowds
are neither matched nor missed; a prediction that lies by more than half on void and on the crowd of
its own class is not false.
"""

import dataclasses
import functools
import operator
from collections.abc import Sequence

import numpy as np

from official.evaluation.runs import pair_runs

VOID = 0  # The id of pixels that belong to no segment.

_MISSED, _FALSE = 0.0, -1.0  # Stand where a match has its IoU.


@dataclasses.dataclass(frozen=True)
class PanopticMap:
  """Segments of one image.

  Attributes:
    ids: the segment of each pixel [h, w], an integer type; 0 is void.
    segments: the segments' ids [n], above 0, each once; of ground truth in the annotation's order.
    classes: their contiguous classes [n].
    is_crowd: [n] bool; None where none is, as in predictions.
  """

  ids: np.ndarray
  segments: Sequence[int] | np.ndarray
  classes: Sequence[int] | np.ndarray
  is_crowd: Sequence[bool] | np.ndarray | None = None


class PanopticQuality:
  """Collects images one by one, then computes the figures.

  Args:
    things: for each contiguous class whether it is a thing; the others are stuff.
  """

  def __init__(self, things: Sequence[bool] | np.ndarray) -> None:
    self._things = np.asarray(things, bool)
    self.reset()

  def reset(self) -> None:
    """Forgets everything that was added."""
    self._rows: dict[int, np.ndarray] = {}

  def add(self, image_id: int, truth: PanopticMap, found: PanopticMap) -> None:
    """Adds an image; one that was added before is passed over.

    Args:
      image_id: of the image.
      truth: the ground truth; every segment in it counts, with pixels or without.
      found: the prediction, of the same size; each segment has pixels.

    Raises:
      ValueError: sizes differ, a map has a pixel of a segment that is not listed, an id is void's
        or stands twice, a class is out of range, or a predicted segment has no pixel.
    """
    if image_id not in self._rows:
      self._rows[image_id] = _outcomes(_listed(truth, self._things), _listed(found, self._things))

  def state(self) -> np.ndarray:
    """What was added: [n, 3] float64, image id, class, and IoU (0 missed, −1 false), by image.

    An image where nothing counts has one row, of class −1, so that it is known as seen.
    """
    parts = [np.insert(rows, 0, image_id, axis=1) for image_id, rows in self._rows.items()]
    return np.concatenate([np.zeros([0, 3]), *parts])

  def merge(self, state: np.ndarray) -> None:
    """Adds another worker's `state`; images that are known already are passed over."""
    starts = np.flatnonzero(np.diff(state[:, 0])) + 1
    for rows in np.split(state, starts) if len(state) else []:
      self._rows.setdefault(int(rows[0, 0]), rows[:, 1:])

  def per_class(self) -> dict[str, np.ndarray]:
    """For each class [c] `PQ`, `SQ`, `RQ` in 0..1 and the counts `TP`, `FP`, `FN`; 0 where none."""
    # In the order of the image ids: the sum is the same whatever worker had which image.
    rows = [self._rows[image_id] for image_id in sorted(self._rows)]
    classes, ious = np.concatenate([np.zeros([0, 2]), *rows]).T
    classes = classes.astype(np.int64)

    def count(chosen: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
      return np.bincount(classes[chosen], weights, minlength=len(self._things))

    matched = ious > 0
    tp, fp, fn = count(matched), count(ious == _FALSE), count((ious == _MISSED) & (classes >= 0))
    quality = count(matched, ious[matched])
    halves = np.maximum(tp + 0.5 * fp + 0.5 * fn, 0.5)
    figures = {"PQ": quality / halves, "SQ": quality / np.maximum(tp, 1), "RQ": tp / halves}
    return figures | {"TP": tp, "FP": fp, "FN": fn}

  def evaluate(self) -> dict[str, float]:
    """`PQ`, `SQ`, `RQ` of all classes, of things (`PQ_things`, …) and of stuff (`PQ_stuff`, …).

    Each in 0..1, the mean over the classes that are in the ground truth or predicted; −1 where
    there is none.
    """
    table = self.per_class()
    present = table["TP"] + table["FP"] + table["FN"] > 0
    groups = {"": present, "_things": present & self._things, "_stuff": present & ~self._things}
    return {
      f"{name}{suffix}": _mean(table[name][group])
      for suffix, group in groups.items()
      for name in ("PQ", "SQ", "RQ")
    }


def _mean(values: np.ndarray) -> float:
  # One after the other, as panopticapi: NumPy's sum in pairs ends in other digits.
  return functools.reduce(operator.add, values.tolist()) / len(values) if len(values) else -1.0


@dataclasses.dataclass(frozen=True)
class _Listed:
  """A checked map; `segments` ascending, and `order` tells where each stood in the list."""

  ids: np.ndarray
  segments: np.ndarray
  classes: np.ndarray
  is_crowd: np.ndarray
  order: np.ndarray


def _listed(given: PanopticMap, things: np.ndarray) -> _Listed:
  segments = np.asarray(given.segments, np.int64)
  classes = np.asarray(given.classes, np.int64)
  crowd = np.zeros(len(segments), bool) if given.is_crowd is None else np.asarray(given.is_crowd)
  order = np.argsort(segments)
  segments = segments[order]
  if (segments <= VOID).any() or (segments[1:] == segments[:-1]).any():
    raise ValueError("a segment's id is not above 0, which is void's, or stands twice")
  if len(classes) and not 0 <= classes.min() <= classes.max() < len(things):
    raise ValueError(f"a segment's class is not one of 0 to {len(things) - 1}")
  return _Listed(given.ids, segments, classes[order], crowd[order].astype(bool), order)


def _outcomes(truth: _Listed, found: _Listed) -> np.ndarray:
  """Class and IoU [k, 2] of the matches, in the order of the ids, then of missed and false ones."""
  overlaps = _overlaps(truth, found)  # [n + 1, m + 1], void first
  areas, found_areas = overlaps.sum(1)[1:], overlaps.sum(0)[1:]
  if not found_areas.all():
    raise ValueError(f"the predicted segment {found.segments[found_areas == 0][0]} has no pixel")
  void, inside = overlaps[0, 1:], overlaps[1:, 1:]
  ious = inside / (found_areas + areas[:, None] - inside - void)
  same = truth.classes[:, None] == found.classes
  matched = same & ~truth.is_crowd[:, None] & (ious > 0.5)
  ignored = void + _on_crowd(truth, found, inside)
  missed = truth.classes[~matched.any(1) & ~truth.is_crowd]
  false = found.classes[~matched.any(0) & ~(ignored / found_areas > 0.5)]
  rows, columns = np.nonzero(matched)
  outcomes = [*ious[rows, columns], *[_MISSED] * len(missed), *[_FALSE] * len(false)]
  classes = np.concatenate([truth.classes[rows], missed, false])
  return np.stack([classes, outcomes], axis=1) if len(classes) else np.array([[-1.0, _MISSED]])


def _on_crowd(truth: _Listed, found: _Listed, inside: np.ndarray) -> np.ndarray:
  """The pixels of each prediction [m] on its class's crowd; of several crowds the last listed."""
  last = {truth.classes[row]: row for row in np.argsort(truth.order) if truth.is_crowd[row]}
  rows = [last.get(index, -1) for index in found.classes]
  return np.array([inside[row, m] if row >= 0 else 0 for m, row in enumerate(rows)], np.int64)


def _overlaps(truth: _Listed, found: _Listed) -> np.ndarray:
  """Pixels that each pair of segments shares, void first: [n + 1, m + 1] int64."""
  runs = pair_runs(truth.ids, found.ids)
  rows, columns = _places(runs.first, truth.segments), _places(runs.second, found.segments)
  shape = len(truth.segments) + 1, len(found.segments) + 1
  cells = np.bincount(rows * shape[1] + columns, runs.lengths, shape[0] * shape[1])
  return cells.astype(np.int64).reshape(shape)


def _places(ids: np.ndarray, segments: np.ndarray) -> np.ndarray:
  """Of each id its place among the ascending `segments`, from 1; void's is 0."""
  known = np.concatenate([[VOID], segments])  # Ascending, since ids are not negative.
  places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
  if (strangers := ids[known[places] != ids]).size:
    raise ValueError(f"the map has a segment {strangers[0]} that is not listed")
  return places
