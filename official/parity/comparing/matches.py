"""What is to be compared: an array with its counterpart, read when it is needed."""

import dataclasses
from collections.abc import Callable

import numpy as np

from official.parity.recording.reader import Recording

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Match:
  """One array of the candidate and one of the original, in whatever recordings they are.

  Attributes:
    stage: of the finding that it will be; so are `section`, `phase`, `name`, `reference`, `order`
      and `layer`.
    candidate: reads the candidate's; None where the recording has none.
    original: reads the original's in the candidate's layout, given the candidate's shape; None
      where there is none. May raise LayoutError.
    absent: reads why the candidate's (first) and the original's recording have none.
    rounding: by how much values may be off because they are differences of larger ones.
    figures: whether only figures of the original's array are kept; they are what is read then.
  """

  stage: str
  section: str
  phase: str
  name: str
  reference: str
  order: int
  layer: str
  candidate: Callable[[Recording], np.ndarray | None]
  original: Callable[[Recording, Shape], np.ndarray | None]
  absent: Callable[[Recording, Recording], tuple[str, str]]
  rounding: Callable[[], np.ndarray | None] | None = None
  figures: bool = False


def rooted(match: Match) -> Match:
  """`match` by the square roots of both sides: what is squared has its noise squared, too."""
  return dataclasses.replace(
    match,
    candidate=lambda recording: _root(match.candidate(recording)),
    original=lambda recording, shape: _root(match.original(recording, shape)),
  )


def _root(array: np.ndarray | None) -> np.ndarray | None:
  if array is None:
    return None
  wide = array.astype(np.float64)
  return np.sign(wide) * np.sqrt(np.abs(wide))


def owner(variable: str) -> str:
  """Path of the layer that a variable belongs to."""
  return variable.rpartition("/")[0]
