"""Proves that a side computes the same each time, and the same with taps as without."""

import dataclasses
from collections.abc import Callable

import google_crc32c
import ml_dtypes
import numpy as np

_ROUNDINGS = 256  # How many roundings of the largest gradient a gradient may be off.


class Digest(dict[str, str]):
  """Fingerprints of arrays by name: equal where dtype, shape and every bit are.

  Attributes:
    deviation: largest difference of the pairs that were compared.
    magnitude: largest magnitude in them.
    precision: spacing of numbers at 1 in their dtype.
  """

  def __init__(self) -> None:
    super().__init__()
    self.deviation = self.magnitude = 0.0
    self.precision = 0.0

  def add(self, name: str, array: np.ndarray) -> None:
    """Adds the fingerprint of an array, any dtype."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    self[name] = f"{array.dtype} {list(array.shape)} {google_crc32c.value(data):08x}"

  def compare(self, a: np.ndarray, b: np.ndarray) -> None:
    """Takes a pair of arrays of one shape into `deviation`."""
    if not a.size:
      return
    self.precision = max(self.precision, float(ml_dtypes.finfo(b.dtype).eps))
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    differences = np.abs(np.where(same, 0, a - b))
    self.deviation = max(self.deviation, float(np.nan_to_num(differences, nan=np.inf).max()))
    self.magnitude = max(self.magnitude, float(np.abs(b[np.isfinite(b)]).max(initial=0)))

  def differences(self, other: "Digest") -> list[str]:
    """Names whose fingerprints differ or that only one of the two has, in order."""
    return [name for name in {**self, **other} if self.get(name) != other.get(name)]


@dataclasses.dataclass(frozen=True)
class Proof:
  """What two or three runs of the same pass showed.

  Attributes:
    deterministic: whether the pass gives the same bits each time.
    harmless: whether it gives the same bits with taps.
    sentence: the outcome, for a person.
  """

  deterministic: bool
  harmless: bool
  sentence: str

  @property
  def holds(self) -> bool:
    return self.deterministic and self.harmless


def prove(what: str, untapped: Callable[[bool], Digest], tapped: Callable[[], Digest]) -> Proof:
  """Compares an untapped run with a tapped one; asks a second untapped run where they differ.

  Bits must be equal, with one exception: where three gradients meet, taps may change the order in
  which they are added. Gradients may be off by roundings, if nothing else is.

  Args:
    what: the subject of the sentence, such as "the original, train".
    untapped: (whether to compare gradients with those of the tapped run) runs the pass from its
      start, without taps.
    tapped: the same with taps.
  """
  first, seen = untapped(False), tapped()
  differences = first.differences(seen)
  if not differences:
    return Proof(True, True, f"{what}: {len(first)} arrays are the same with taps and without")
  second = untapped(True)
  if unstable := first.differences(second):
    sentence = f"{what}: two runs differ in {_some(unstable)}; it is not deterministic"
    return Proof(False, False, sentence)
  bound = _ROUNDINGS * second.precision * second.magnitude
  if all(name.startswith("gradient ") for name in differences) and second.deviation <= bound:
    sentence = (
      f"{what}: {len(first) - len(differences)} arrays are the same with taps and without; "
      f"{len(differences)} gradients, added in another order, are off by rounding "
      f"({second.deviation / (second.magnitude or 1):.1e} of the largest)"
    )
    return Proof(True, True, sentence)
  return Proof(True, False, f"{what}: taps change {_some(differences)}; two runs without agree")


def _some(names: list[str]) -> str:
  more = f" and {len(names) - 1} more" if len(names) > 1 else ""
  return f"{names[0]}{more}"
