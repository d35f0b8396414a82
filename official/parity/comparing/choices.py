"""Discrete choices: which queries, boxes or matches were taken, not how near the numbers are.

A choice between scores that noise cannot tell apart falls either way. What the candidate chooses is
then seen to change when its inputs are moved by as much as the noise: a near tie. Where it never
makes the original's choice, the two differ.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from official.parity.comparing import measures, verdict
from official.parity.result import Finding, Status


def near_tie(
  candidate: np.ndarray,
  reference: np.ndarray,
  stirred: Sequence[np.ndarray],
  limit: float = verdict.RELATIVE,
) -> bool:
  """Whether every value that differs is the original's once inputs are moved within the noise.

  Args:
    candidate: what was chosen, or computed from what was chosen.
    reference: the original's, any shape.
    stirred: what the candidate chooses with its inputs moved.
    limit: relative error up to which floating values are the same.
  """
  if verdict.kind(candidate) != verdict.kind(reference):
    return False
  if candidate.shape != reference.shape:
    return any(_same(other, reference, limit).all() for other in stirred)
  unexplained = ~_same(candidate, reference, limit)
  for other in stirred:
    unexplained &= ~_same(other, reference, limit)
  return bool(stirred) and not unexplained.any()


def stir(array: np.ndarray, noise: float, random: np.random.Generator) -> np.ndarray:
  """`array` with floating values moved by up to `noise`, relative to max(|value|, rms)."""
  if not verdict.is_float(array):
    return array
  wide = array.astype(np.float64)
  unit = np.maximum(np.abs(wide), measures.magnitude(wide).rms)
  return (wide + noise * unit * random.uniform(-1, 1, wide.shape)).astype(array.dtype)


def as_tie(finding: Finding) -> Finding:
  """`finding` as a near tie."""
  return dataclasses.replace(
    finding,
    status=Status.NEAR_TIE,
    reason="the choice falls either way when inputs move by the noise",
  )


def _same(array: np.ndarray, reference: np.ndarray, limit: float) -> np.ndarray:
  """Where `array` is `reference`; nowhere if shapes differ."""
  if array.shape != reference.shape:
    return np.zeros(reference.shape or (1,), bool)
  if not verdict.is_float(reference):
    return np.atleast_1d(array == reference)
  wide, truth = array.astype(np.float64), reference.astype(np.float64)
  unit = np.maximum(np.abs(truth), measures.magnitude(truth).rms)
  with np.errstate(invalid="ignore"):
    return np.atleast_1d(np.abs(wide - truth) <= limit * unit)
