"""Anchors that fit a data set: k-means on the sides of its boxes, then evolution.

As ScaledYOLOv4 and YOLOv7 make theirs (`utils/autoanchor.py`, facts alone). An anchor's fit to a
box is the smallest ratio of their sides, in 0..1; an object is trained on by the anchors whose fit
is above the inverse of the loss's `ratio_threshold`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_RESTARTS = 10
_ENOUGH = 20_000  # Boxes that clusters are found from; a data set with more is sampled.
_ROUNDS = 100  # Lloyd's settles long before.
_SMALLEST = 2.0  # Pixels, of an anchor's side.
_SHARE, _SPREAD = 0.9, 0.1  # Of sides that a mutation changes, and how far.
_LIMITS = 0.3, 3.0  # Of one mutation's factors.


class Quality(NamedTuple):
  """How anchors fit boxes.

  Attributes:
    fitness: mean over boxes of the best fit, where that is above the threshold; 0 where not.
    recall: share of the boxes that an anchor fits.
    anchors_per_box: mean number of anchors that fit a box.
  """

  fitness: float
  recall: float
  anchors_per_box: float


def quality(anchors: np.ndarray, sizes: np.ndarray, ratio_threshold: float) -> Quality:
  """How well `anchors` [a, 2] fit boxes of `sizes` [n, 2], both width and height in pixels."""
  fits = _fits(anchors, sizes)
  best, found = fits.max(axis=1), fits > 1 / ratio_threshold
  mean = float(np.where(found.any(axis=1), best, 0).mean())
  return Quality(mean, float(found.any(axis=1).mean()), float(found.sum(axis=1).mean()))


def cluster(sizes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
  """Centres [count, 2] of clusters of `sizes` [n, 2], by Lloyd's algorithm; the best of restarts.

  Width and height count in units of their standard deviations.
  """
  scale = np.maximum(sizes.std(axis=0), 1e-9)
  points = rng.permutation(sizes / scale)[:_ENOUGH]
  found = [_lloyd(points, count, rng) for _ in range(_RESTARTS)]
  return min(found, key=lambda each: each[1])[0] * scale


def evolve(
  anchors: np.ndarray,
  sizes: np.ndarray,
  ratio_threshold: float,
  generations: int,
  rng: np.random.Generator,
) -> Iterator[np.ndarray]:
  """The fittest anchors [a, 2] after each generation: mutations that are fitter take over."""
  fitness = quality(anchors, sizes, ratio_threshold).fitness
  for _ in range(generations):
    changed = rng.random(anchors.shape) < _SHARE
    factors = 1 + changed * rng.random() * rng.normal(0, _SPREAD, anchors.shape)
    mutated = np.maximum(anchors * np.clip(factors, *_LIMITS), _SMALLEST)
    if (found := quality(mutated, sizes, ratio_threshold).fitness) > fitness:
      anchors, fitness = mutated, found
    yield anchors


def by_area(anchors: np.ndarray) -> np.ndarray:
  """`anchors` [a, 2], smallest first: finest level first."""
  return anchors[np.argsort(anchors.prod(axis=1), kind="stable")]


def _fits(anchors: np.ndarray, sizes: np.ndarray) -> np.ndarray:
  ratio = sizes[:, None] / anchors
  return np.minimum(ratio, 1 / ratio).min(axis=-1)


def _lloyd(points: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
  """Centres and mean squared distance; a cluster that empties starts anew at a random point."""
  centres = points[rng.choice(len(points), count, replace=False)]
  before = np.inf
  for _ in range(_ROUNDS):
    distance = np.square(points[:, None] - centres).sum(axis=-1)
    nearest, now = distance.argmin(axis=1), float(distance.min(axis=1).mean())
    if now == before:
      break
    before = now
    members = np.bincount(nearest, minlength=count)
    sums = [np.bincount(nearest, points[:, axis], count) for axis in range(2)]
    means = np.stack(sums, axis=1) / np.maximum(members, 1)[:, None]
    centres = np.where(members[:, None] > 0, means, points[rng.choice(len(points), count)])
  return centres, before
