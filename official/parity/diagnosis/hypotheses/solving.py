"""Finds the scalar that closes a gap, and the name that people give to such numbers."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.program.program import Edits
from official.parity.diagnosis.subject import Subject

ROUNDS = 12
FEW = 4  # So few values are met by some number at nearly every place: it must be a likely one.
LARGEST_ROOT = 5000  # Of larger n, 1/n and √n are near to any number.
HOPELESS = 0.9  # After the first step: what leaves more of the error than this is given up.


def solve(
  subject: Subject,
  start: float,
  edits: Callable[[float], Edits],
  second: float | None = None,
  guesses: Iterable[float] = (),
) -> float | None:
  """The number for which `edits(number)` gives the original's outputs; None where none does.

  Secant steps on the differences of all outputs, in the least-squares sense: exact where they
  are linear in the number, quadratic nearly everywhere else.

  Args:
    subject: what is examined.
    start: the candidate's number.
    edits: of the program, for a number.
    second: where to look next, nearby.
    guesses: numbers to look at first, where outputs wave with the number.
  """
  for guess in guesses:
    if guess != start and subject.error(subject.run(edits(guess))) <= subject.evidence.limit:
      return guess
  old, new = start, second if second is not None else (start * 1.01 if start else 0.01)
  last = _residual(subject, edits(old))
  best, found = np.inf, old
  for round_ in range(ROUNDS):
    now = _residual(subject, edits(new))
    if last is None or now is None or not np.isfinite(now).all():
      return None
    size = float(np.linalg.norm(now))
    if size < best:
      best, found = size, new
    elif round_ > ROUNDS // 2 or size == 0.0:
      break
    slope = (now - last) / (new - old)
    steep = float(slope @ slope)
    if steep == 0.0 or (round_ == 0 and _unexplained(last, slope) > HOPELESS):
      break
    old, last, new = new, now, new - float(slope @ now) / steep
    if new == old:
      break
  if best == np.inf or (last.size < FEW and not is_named(found)):
    return None
  error = subject.error(subject.run(edits(found)))
  return found if error <= subject.evidence.limit else None


def _residual(subject: Subject, edits: Edits) -> np.ndarray | None:
  try:
    return subject.residual(subject.run(edits))
  except tf.errors.InvalidArgumentError:  # A number of another shape than is wanted here.
    return None


def _unexplained(residual: np.ndarray, slope: np.ndarray) -> float:
  """Which share of the residual a step along `slope` leaves."""
  left = residual - slope * float(slope @ residual) / float(slope @ slope)
  return float(np.linalg.norm(left) / np.linalg.norm(residual))


def name(number: float) -> str:
  """The number as people write it: 1e-05, 0.1, 1/√32, 2π; else with six digits."""
  return _named(number) or f"{number:.6g}"


def is_named(number: float) -> bool:
  """Whether a person would have written this number: few digits, or 1/n, √n, 1/√n, π."""
  return bool(_named(number))


def _named(number: float) -> str:
  for digits in (1, 2, 3):
    if _near(number, float(f"{number:.{digits}g}")):
      return f"{float(f'{number:.{digits}g}'):g}"
  for text, value in (("π", math.pi), ("2π", math.tau), ("√2", math.sqrt(2))):
    if _near(number, value):
      return text
  sign = "-" if number < 0 else ""
  for text, value in (("1/", 1 / abs(number)), ("1/√", number**-2), ("√", number**2)):
    if 1.5 < value < LARGEST_ROOT and _near(value, round(value)):
      return f"{sign}{text}{round(value)}"
  return ""


def _near(number: float, other: float) -> bool:
  return abs(number - other) <= 1e-6 * max(abs(number), abs(other), 1e-300)
