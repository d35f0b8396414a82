"""The search among hypotheses: measures what each would mend, and ranks them."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from official.parity.diagnosis.causes import CAUSES
from official.parity.diagnosis.subject import Subject, Trial
from official.parity.result import Diagnosis

Hypothesis = Callable[[Subject], Iterator[Trial]]

SECONDS = 60.0  # Of the processor, for one layer: large ones are not searched to the end.
HALF = 0.5  # What leaves more of the error than this explains nothing.
KEPT = 5  # Diagnoses that do not close the gap.


@dataclasses.dataclass(frozen=True)
class Examination:
  """What came of all trials.

  Attributes:
    diagnoses: best first.
    failures: (hypothesis, why it or one of its trials could not be tried).
    tried: number of trials that ran.
  """

  diagnoses: tuple[Diagnosis, ...]
  failures: tuple[tuple[str, str], ...]
  tried: int


class Search:
  """Measures trials and keeps the best."""

  def __init__(self, before: float, limit: float, error: Callable[..., float]) -> None:
    self._before, self._limit, self._error = before, limit, error
    self._found: list[Diagnosis] = []
    self._failures: list[tuple[str, str]] = []
    self._tried = 0
    self._end = time.process_time() + SECONDS

  def run(self, tiers: Sequence[Sequence[Hypothesis]], subject: Any) -> Examination:
    """Tier after tier, until one closes the gap or the time is used up."""
    for tier in tiers:
      if self._before > self._limit and not self.closed and not self.late:
        self.run_tier(tier, subject)
    return self.result()

  @property
  def closed(self) -> bool:
    """Whether a trial closed the gap."""
    return any(diagnosis.closes for diagnosis in self._found)

  @property
  def late(self) -> bool:
    """Whether the time is used up."""
    return time.process_time() > self._end

  def run_tier(self, tier: Sequence[Hypothesis], subject: Any) -> None:
    """Measures every trial of every hypothesis in `tier`."""
    for hypothesis in tier:
      try:
        for trial in hypothesis(subject):
          self._measure(hypothesis, trial)
          if self.late:
            return
      except Exception as error:  # The next hypothesis may still work; the reason is kept.
        self._failures.append((hypothesis.__name__, one_line(error)))

  def _measure(self, hypothesis: Hypothesis, trial: Trial) -> None:
    try:
      after = self._error(trial.outputs())
    except Exception as error:  # An edit may not fit the shapes that it meets.
      self._failures.append((hypothesis.__name__, f"{trial.sentence}: {one_line(error)}"))
      return
    self._tried += 1
    closes = after <= self._limit
    if trial.cause not in CAUSES:
      raise KeyError(f"no cause {trial.cause!r}")
    if closes or after < HALF * self._before:
      self._found.append(
        Diagnosis(trial.cause, trial.sentence, self._before, after, closes, trial.line)
      )

  def result(self) -> Examination:
    """The ranking; Python's sort keeps the order of trials that are equally good."""
    closing = [diagnosis for diagnosis in self._found if diagnosis.closes]
    others = sorted((d for d in self._found if not d.closes), key=lambda d: d.after)
    ranked = _distinct(closing) + ([] if closing else _distinct(others)[:KEPT])
    return Examination(tuple(ranked), tuple(self._failures), self._tried)


def _distinct(diagnoses: Sequence[Diagnosis]) -> list[Diagnosis]:
  """The first of each cause."""
  seen: dict[str, Diagnosis] = {}
  for diagnosis in diagnoses:
    seen.setdefault(diagnosis.cause, diagnosis)
  return list(seen.values())


def one_line(error: Exception) -> str:
  return f"{type(error).__name__}: {error}".splitlines()[0]
