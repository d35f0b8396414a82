"""The verdict on two arrays; nothing is broadcast, reshaped or averaged into agreement.

float64 asks whether two programs mean the same: rounding passes, any other epsilon does not. Below
float64 the golden values are the original's in float64, on the same rounded weights and inputs; the
original's own error there is the noise, and the candidate's may be a small multiple of it.

`RELATIVE`, `ZERO`, `ROUNDINGS` and the `TIMES_…` are the only tolerances of the product.
"""

from typing import NamedTuple

import numpy as np

from official.parity.comparing import measures
from official.parity.comparing.measures import Noise
from official.parity.result import Status

RELATIVE = 1e-9  # float64: rounding through a deep network is 1e-12, the smallest epsilon 1e-6.
ZERO = 1e-12  # Of the section's scale: what is left of sums that are zero in exact arithmetic.
# Largest and mean error against the original's own. Of 7,728 arrays of random convolutional and
# attention nets, the same in both frameworks, 1.6 % exceed one of these (kinks that noise falls
# over to either side, few values, sums in bfloat16): they are looked at again, layer by layer.
TIMES_MAX = 4.0
TIMES_RMS = 2.0
ROUNDINGS = 4.0  # Roundings of the result itself that pass where the original happens to be exact.
TIMES_TWIN = 4.0  # A candidate's error against what a few roundings of its inputs make of it.

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7}
_STIRRED = "moves as far when its inputs move by a few roundings"
_FEW = 16  # Below about that many values, an array's own noise is chance: others' counts as well.


class Verdict(NamedTuple):
  """What `Finding` says about two arrays; see there."""

  status: Status
  error: float
  noise: float
  limit: float
  reason: str = ""


SILENCE = Noise(0.0, 0.0)


def compare(
  candidate: np.ndarray,
  reference: np.ndarray,
  *,
  golden: np.ndarray | None = None,
  precision: str = "float64",
  scale: float = 0.0,
  pool: float = 0.0,
  rounding: np.ndarray | None = None,
  twin: Noise = SILENCE,
) -> Verdict:
  """Whether `candidate` is `reference`.

  Errors are relative to max(|value|, rms of all values), element by element.

  Args:
    candidate: any shape and dtype.
    reference: the original's, in `precision` and the candidate's layout.
    golden: below float64: the original's, in float64.
    precision: of both sides.
    scale: the largest rms in the section; where both sides are below `ZERO` times it, they are
      zero. Below float64 that is said of the golden values, and the candidate's may be as large as
      the section's noise.
    pool: below float64: the section's typical relative noise, which counts where there are few
      values.
    rounding: by how much values may be off because they are differences of larger ones, absolute.
    twin: how far the candidate moves when its inputs move by a few roundings, where measured.
  """
  golden = reference if golden is None else golden
  if mismatch := _mismatch(candidate, reference) or _mismatch(reference, golden):
    return _different(mismatch)
  if candidate.size == 0:
    return Verdict(Status.SAME, 0.0, 0.0, 0.0, "no values")
  if not is_float(reference):
    return _exact(candidate, reference)
  sides = {"the candidate": candidate, "the original": reference}
  sides |= {} if golden is reference else {"the original, in float64,": golden}
  sizes = {name: measures.magnitude(array) for name, array in sides.items()}
  for name, size in sizes.items():
    if not np.isfinite(size.largest):
      return _different(_not_finite(sides[name], name))
  truth = sizes["the original"] if golden is reference else sizes["the original, in float64,"]
  floor = ROUNDINGS * EPSILON[precision] / 2
  small = 1.0 if precision == "float64" else TIMES_MAX * max(pool, floor) / ZERO
  if reason := _zero(sizes["the candidate"].largest, truth.largest, scale, small):
    return Verdict(Status.SAME, 0.0, 0.0, RELATIVE, reason)
  if precision == "float64":
    return _rounding_only(measures.distance(candidate, golden, truth.rms, rounding), twin)
  unit = truth.rms or sizes["the original"].rms  # Zero in float64 only: the noise is the unit.
  error = measures.distance(candidate, golden, unit, rounding)
  own = measures.distance(reference, golden, unit)
  return _within_noise(error, own, golden.size, floor, pool, twin)


def noise(reference: np.ndarray, golden: np.ndarray) -> Noise:
  """The relative error of the original, in low precision, against itself in float64.

  Infinite where the golden values are all zero and the others are not.
  """
  return measures.distance(reference, golden, measures.magnitude(golden).rms)


def is_float(array: np.ndarray) -> bool:
  """Whether values are rounded: float of any width, bfloat16, or complex."""
  return array.dtype.kind in "fcV"  # "V": NumPy's kind of bfloat16.


def kind(array: np.ndarray) -> str:
  """What sort of values: "float", "integer", … whatever their width."""
  kinds = {"f": "float", "V": "float", "c": "complex", "i": "integer", "u": "integer", "b": "bool"}
  return kinds.get(array.dtype.kind, str(array.dtype))


def _mismatch(candidate: np.ndarray, reference: np.ndarray) -> str:
  if candidate.shape != reference.shape:
    return f"shapes differ: {list(candidate.shape)}, in the original {list(reference.shape)}"
  if kind(candidate) != kind(reference):
    return f"types differ: {kind(candidate)}, in the original {kind(reference)}"
  return ""


def _different(reason: str) -> Verdict:
  return Verdict(Status.DIFFERENT, np.inf, 0.0, 0.0, reason)


def _exact(candidate: np.ndarray, reference: np.ndarray) -> Verdict:
  unequal = candidate != reference
  count = int(np.count_nonzero(unequal))
  if not count:
    return Verdict(Status.SAME, 0.0, 0.0, 0.0)
  reason = f"{count} of {unequal.size} values differ, the first at {_first(unequal)}"
  return Verdict(Status.DIFFERENT, count / unequal.size, 0.0, 0.0, reason)


def _first(where: np.ndarray) -> list[int]:
  return [int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape)]


def _not_finite(array: np.ndarray, side: str) -> str:
  bad = ~np.isfinite(array)
  return f"{bad.sum()} of {bad.size} values not finite in {side}, the first at {_first(bad)}"


def _zero(largest: float, truth: float, scale: float, small: float) -> str:
  """Says so where both are zero beside `scale`; the candidate may be `small` times as large."""
  if max(largest / small, truth) > ZERO * scale or scale == 0.0:
    return ""
  return f"zero within rounding: {largest:.1e} at most, where the section's scale is {scale:.1e}"


def _rounding_only(error: Noise, twin: Noise) -> Verdict:
  limit = max(RELATIVE, TIMES_TWIN * twin.largest)
  status = Status.SAME if error.largest <= limit else Status.DIFFERENT
  reason = _STIRRED if RELATIVE < error.largest <= limit else ""
  return Verdict(status, error.largest, twin.largest, limit, reason)


def _within_noise(
  error: Noise, own: Noise, count: int, floor: float, pool: float, twin: Noise
) -> Verdict:
  few = _FEW / (_FEW + count)
  mean = float(np.hypot(own.mean * np.sqrt(1 - few), pool * np.sqrt(few)))
  noise = Noise(max(own.largest, 2 * mean), mean)
  limit = Noise(TIMES_MAX * noise.largest + floor, TIMES_RMS * noise.mean + floor)
  reason = ""
  if _exceeds(error, limit):
    limit = Noise(*(max(a, TIMES_TWIN * b) for a, b in zip(limit, twin, strict=True)))
    reason = _STIRRED
  if not _exceeds(error, limit):
    return Verdict(Status.SAME, error.largest, noise.largest, limit.largest, reason)
  if error.largest > limit.largest:
    return Verdict(Status.DIFFERENT, error.largest, noise.largest, limit.largest)
  return Verdict(Status.DIFFERENT, error.mean, noise.mean, limit.mean, "in the mean (rms)")


def _exceeds(error: Noise, limit: Noise) -> bool:
  return error.largest > limit.largest or error.mean > limit.mean
