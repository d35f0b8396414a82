"""Magnitudes and distances of arrays of any size, block by block: no array is copied whole."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_BLOCK = 1 << 13  # Values: a few blocks fit a core's cache, and BLAS starts no threads for one.
_SAFE = 1e100  # Squares of magnitudes between this and its inverse stay finite and exact.


class Magnitude(NamedTuple):
  """Of an array: the largest absolute value, and the root of the mean square.

  Both are infinite or not a number where a value is.
  """

  largest: float
  rms: float


class Noise(NamedTuple):
  """How far an array is from another: at one place at most, and in the mean (rms); relative."""

  largest: float
  mean: float


def magnitude(array: np.ndarray) -> Magnitude:
  """The magnitude of `array`, any shape and numeric dtype; zeros of nothing."""
  maxima, squares = [0.0], 0.0
  with np.errstate(over="ignore", under="ignore"):
    for (block,) in _blocks(array):
      size = np.abs(block)
      maxima.append(float(size.max()))
      squares += float(np.dot(size, size))
  largest = float(np.max(maxima))  # Not a number where one of them is.
  if not np.isfinite(largest) or largest == 0.0:
    return Magnitude(largest, largest)
  if 1 / _SAFE < largest < _SAFE:
    return Magnitude(largest, float(np.sqrt(squares / array.size)))
  squares = sum(float(np.sum((np.abs(block) / largest) ** 2)) for (block,) in _blocks(array))
  return Magnitude(largest, largest * float(np.sqrt(squares / array.size)))


def distance(
  values: np.ndarray,
  truth: np.ndarray,
  unit: float,
  rounding: np.ndarray | None = None,
) -> Noise:
  """How far `values` are from `truth`, of one shape, relative to max(|truth|, unit).

  Args:
    values: finite.
    truth: finite.
    unit: a magnitude; where it is 0, so are all of `truth`, and the distance of others is infinite.
    rounding: by how much each value may be off, absolute, of that shape; None: by nothing.
  """
  largest, squares = 0.0, 0.0
  arrays = (values, truth) if rounding is None else (values, truth, rounding)
  for value, true, *allowed in _blocks(*arrays):
    gap = np.abs(value - true)
    if allowed:
      gap = np.maximum(gap - allowed[0], 0.0)
    most = float(gap.max())
    if most == 0.0:
      continue
    if unit == 0.0:
      return Noise(np.inf, np.inf)
    squares += float(np.sum((gap / unit) ** 2))
    if most / unit > largest:  # Else no value of this block can be further off.
      largest = max(largest, float(np.max(gap / np.maximum(np.abs(true), unit))))
  return Noise(largest, float(np.sqrt(squares / truth.size)) if truth.size else 0.0)


def _blocks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
  """Blocks of the same places of arrays of one shape, in float64 or complex128."""
  flat = [np.ravel(array) for array in arrays]
  for start in range(0, flat[0].size, _BLOCK):
    yield tuple(_wide(array[start : start + _BLOCK]) for array in flat)


def _wide(block: np.ndarray) -> np.ndarray:
  return block.astype(np.complex128 if block.dtype.kind == "c" else np.float64, copy=False)
