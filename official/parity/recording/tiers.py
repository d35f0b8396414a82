"""How much of an array is kept: its shape, figures that tell it from others, or all of it.

The figures catch what a mean does not: random projections move when one element does, when two
change places, and when anything else but a rare accident happens.
"""

import dataclasses
import enum
import functools
from typing import Self

import numpy as np

PROJECTIONS = 32
SAMPLES = 96
_BLOCK = 4096  # Columns of the array as it is projected: one matrix product, no large random array.


class Tier(enum.StrEnum):
  """How much is kept of each array."""

  STRUCTURE = "structure"
  STATISTICS = "statistics"
  FULL = "full"


@dataclasses.dataclass(frozen=True)
class Statistics:
  """Figures of one array, all float64, over its finite entries (0 where there are none).

  Attributes:
    count: number of entries.
    nan: how many are not a number.
    positive_infinite: how many are +inf.
    negative_infinite: how many are −inf.
    minimum: smallest.
    maximum: largest.
    mean: mean.
    rms: root of the mean square.
    projections: [32] sums of entries × fixed random weights of magnitude 0.5..1.5 (a product of a
      weight of the row and one of the column); entries that are not finite count as 0.
    samples: [96] entries at fixed random places of the flat array (fewer where it is empty).
  """

  count: float
  nan: float
  positive_infinite: float
  negative_infinite: float
  minimum: float
  maximum: float
  mean: float
  rms: float
  projections: np.ndarray
  samples: np.ndarray

  @classmethod
  def of(cls, array: np.ndarray) -> Self:
    """Figures of `array`, any real dtype; they depend on its values and its size."""
    flat = np.ascontiguousarray(array).reshape(-1)
    projections = np.zeros(PROJECTIONS)
    totals = _Totals()
    columns, random = _columns(), np.random.default_rng(2)
    for start in range(0, flat.size, _BLOCK * PROJECTIONS):
      values = flat[start : start + _BLOCK * PROJECTIONS].astype(np.float64)
      finite = totals.add(values)
      rows = -(-values.size // _BLOCK)
      block = np.zeros(rows * _BLOCK)
      block[: values.size] = finite
      projections += ((block.reshape(rows, _BLOCK) @ columns) * _weights(random, rows)).sum(0)
    places = np.random.default_rng(1).integers(0, flat.size, SAMPLES) if flat.size else []
    samples = flat[places].astype(np.float64) if flat.size else np.zeros(0)
    return cls(*totals.figures(), projections, samples)

  @classmethod
  def from_vector(cls, vector: np.ndarray) -> Self:
    """The inverse of `vector`."""
    return cls(*vector[:8].tolist(), vector[8 : 8 + PROJECTIONS], vector[8 + PROJECTIONS :])

  def vector(self) -> np.ndarray:
    """All figures in one float64 array."""
    scalars = [getattr(self, field.name) for field in dataclasses.fields(self)[:8]]
    return np.concatenate([scalars, self.projections, self.samples])


class _Totals:
  """The scalar figures, added up block by block."""

  def __init__(self) -> None:
    self.count = self.nan = self.positive = self.negative = self.finite = 0
    self.minimum, self.maximum = np.inf, -np.inf
    self.sum = self.squares = 0.0

  def add(self, values: np.ndarray) -> np.ndarray:
    """Counts `values` in; returns them with 0 for what is not finite."""
    mask = np.isfinite(values)
    self.count += values.size
    self.nan += int(np.isnan(values).sum())
    self.positive += int(np.isposinf(values).sum())
    self.negative += int(np.isneginf(values).sum())
    if not mask.all():
      self._add_finite(values[mask])
      return np.where(mask, values, 0)
    self._add_finite(values)
    return values

  def _add_finite(self, values: np.ndarray) -> None:
    if values.size:
      self.finite += values.size
      self.minimum = min(self.minimum, float(values.min()))
      self.maximum = max(self.maximum, float(values.max()))
      self.sum += float(values.sum())
      self.squares += float(np.dot(values, values))

  def figures(self) -> tuple[float, ...]:
    counts = (self.count, self.nan, self.positive, self.negative)
    if not self.finite:
      return (*counts, 0.0, 0.0, 0.0, 0.0)
    rms = float(np.sqrt(self.squares / self.finite))
    return (*counts, self.minimum, self.maximum, self.sum / self.finite, rms)


@functools.cache
def _columns() -> np.ndarray:
  return _weights(np.random.default_rng(0), _BLOCK)  # [4096, 32]


def _weights(random: np.random.Generator, rows: int) -> np.ndarray:
  """[rows, 32], of either sign, never near zero: no entry can hide behind its weight."""
  signs = random.integers(0, 2, (rows, PROJECTIONS)) * 2 - 1
  return signs * random.uniform(0.5, 1.5, (rows, PROJECTIONS))
