"""Two maps of the same image, as runs of pixels that agree with their left neighbours."""

from typing import NamedTuple

import numpy as np


class Runs(NamedTuple):
  """Values of both maps [n], and how many pixels [n] have them; hundreds of times fewer than pixels
  in maps of things that are seen."""

  first: np.ndarray
  second: np.ndarray
  lengths: np.ndarray


def pair_runs(first: np.ndarray, second: np.ndarray) -> Runs:
  """The runs of pairs of two maps [h, w], row after row.

  Raises:
    ValueError: the maps differ in size.
  """
  if first.shape != second.shape:
    raise ValueError(f"the maps' sizes {first.shape} and {second.shape} differ")
  first, second = first.ravel(), second.ravel()
  changes = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
  starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
  return Runs(first[starts], second[starts], np.diff(starts, append=first.size))
