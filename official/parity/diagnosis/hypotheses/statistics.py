"""Moving statistics: which share of which estimate each side takes."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from official.parity.diagnosis.evidence import StatisticsEvidence
from official.parity.diagnosis.hypotheses.solving import name
from official.parity.diagnosis.subject import Trial


class Update(NamedTuple):
  """new = old + share · (estimate − old)."""

  share: float
  estimate: str


class Statistic(NamedTuple):
  """One statistic before and after, and the estimates that it may have moved towards."""

  old: np.ndarray
  reference: np.ndarray
  candidate: np.ndarray
  estimates: Mapping[str, np.ndarray]


def hypotheses(evidence: StatisticsEvidence) -> Iterator[Trial]:
  """One field of the candidate's update replaced by the original's."""
  statistics = {key: _statistic(evidence, key) for key in evidence.reference}
  own = {key: _update(s, s.candidate) for key, s in statistics.items()}
  theirs = {key: _update(s, s.reference) for key, s in statistics.items()}
  known = [key for key in statistics if own[key] and theirs[key]]
  shares = {key: own[key]._replace(share=theirs[key].share) for key in known}
  yield Trial(
    _share_cause(own, theirs, known),
    "; ".join(_share_sentence(key, own[key].share, theirs[key].share) for key in known),
    lambda: _updated(statistics, own, shares),
  )
  estimates = {key: _with_estimate(own[key], theirs[key]) for key in known}
  pairs = {key: (own[key].estimate, theirs[key].estimate) for key in known}
  differing = {key: (a, b) for key, (a, b) in pairs.items() if a != b}
  yield Trial(
    _estimate_cause(list(differing.values())),
    "; ".join(f"{k}: the candidate takes {a}, the original {b}" for k, (a, b) in differing.items()),
    lambda: _updated(statistics, own, estimates),
  )


def _with_estimate(own: Update, theirs: Update) -> Update:
  """The original's estimate; its share too, where ours is only rounded."""
  return theirs if _rounded(own, theirs) else own._replace(estimate=theirs.estimate)


def _rounded(own: Update, theirs: Update) -> bool:
  """Whether shares differ by no more than float32 makes of a number."""
  return abs(own.share - theirs.share) <= 1e-6 * abs(theirs.share)


def _statistic(evidence: StatisticsEvidence, key: str) -> Statistic:
  old, reference, candidate = (
    np.asarray(arrays[key]) for arrays in (evidence.old, evidence.reference, evidence.candidate)
  )
  x = np.asarray(evidence.inputs, np.float64)
  return Statistic(old, reference, candidate, dict(_estimates(x, "variance" in key)))


def _estimates(x: np.ndarray, variance: bool) -> Iterator[tuple[str, np.ndarray]]:
  """Every mean or variance per channel that people take of [b, …, c]."""
  over = tuple(range(x.ndim - 1))
  count = x[..., 0].size
  if not variance:
    yield "the batch's mean", x.mean(over)
    for replicas in (2, 4, 8):
      if len(x) % replicas == 0 and len(x) > replicas:
        yield f"the mean of one of {replicas} replicas", x[: len(x) // replicas].mean(over)
    yield "the first image's mean", x[0].mean(over[:-1])
    return
  biased = x.var(over)
  yield "the unbiased variance", biased * count / max(count - 1, 1)
  yield "the biased variance", biased
  yield "the mean of squares", (x * x).mean(over)
  yield "the mean of the images' variances", x.var(over[1:]).mean(0) if x.ndim > 2 else biased
  yield "the deviation", np.sqrt(biased)


def _update(statistic: Statistic, new: np.ndarray) -> Update | None:
  """How `new` came about; None where no share of any estimate gives it."""
  moved = new - statistic.old
  if not moved.any():
    return Update(0.0, next(iter(statistic.estimates)))
  for what, estimate in statistic.estimates.items():
    way = estimate - statistic.old
    share = float(np.vdot(way, moved) / np.vdot(way, way)) if way.any() else 0.0
    if np.allclose(moved, share * way, rtol=1e-7, atol=1e-9 * np.abs(way).max()):
      return Update(share, what)
  return None


def _updated(
  statistics: Mapping[str, Statistic],
  own: Mapping[str, Update | None],
  changed: Mapping[str, Update],
) -> dict[str, np.ndarray]:
  """The candidate's statistics, by `changed` where that is not its own way."""
  made = {}
  for key, s in statistics.items():
    new = changed.get(key)
    if new is None or new == own[key]:
      made[key] = s.candidate
    else:
      made[key] = s.old + new.share * (s.estimates[new.estimate] - s.old)
  return made


def _share_cause(own: Mapping, theirs: Mapping, known: list[str]) -> str:
  """Statistics that stand still on one side belong to the wrong mode."""
  if known and all(_rounded(own[key], theirs[key]) for key in known):
    return "precision_lost"
  still = [0.0 in (own[key].share, theirs[key].share) for key in known]
  return "train_eval_mode" if known and all(still) else "normalization_momentum"


def _share_sentence(key: str, own: float, theirs: float) -> str:
  text = f"{key}: the candidate moves by {name(own)} of the way, the original by {name(theirs)}"
  return text + (" (one minus it)" if abs(own + theirs - 1) < 1e-6 and own != theirs else "")


def _estimate_cause(pairs: list[tuple[str, str]]) -> str:
  variances = {"the biased variance", "the unbiased variance"}
  if pairs and all(set(pair) <= variances for pair in pairs):
    return "variance_bias"
  return "normalization_axis"
