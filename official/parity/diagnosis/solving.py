"""Finds the scalar that closes a gap, and the name that people give to such numbers."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.program import Edits
from official.parity.diagnosis.subject import Subject

ROUNDS = 12
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
  for digits in (1, 2, 3):
    if _near(number, float(f"{number:.{digits}g}")):
      return f"{float(f'{number:.{digits}g}'):g}"
  for text, value in (("π", math.pi), ("2π", math.tau), ("√2", math.sqrt(2))):
    if _near(number, value):
      return text
  if number and _near(1 / number, round(1 / number)):
    return f"1/{round(1 / number)}"
  square = number * number
  if square and _near(1 / square, round(1 / square)):
    return f"{'-' if number < 0 else ''}1/√{round(1 / square)}"
  if _near(square, round(square)):
    return f"{'-' if number < 0 else ''}√{round(square)}"
  return f"{number:.6g}"


def is_named(number: float) -> bool:
  """Whether a person would have written this number: few digits, or 1/n, √n, 1/√n, π."""
  text = name(number)
  return any(c in text for c in "π√/") or (_near(number, float(text)) and len(f"{number:.3g}") >= 1)


def _near(number: float, other: float) -> bool:
  return abs(number - other) <= 1e-6 * max(abs(number), abs(other), 1e-300)
