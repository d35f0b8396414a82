"""One run's recordings and rules, and the comparisons that stages make of them."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from official.parity.case import ParityCase
from official.parity.comparing import measures, verdict
from official.parity.comparing.correspondence import Correspondence
from official.parity.comparing.excuses import Excuses
from official.parity.comparing.matcher import Matcher
from official.parity.comparing.matches import Match
from official.parity.keys import tap_name
from official.parity.recording.header import TapInfo
from official.parity.result import Status
from official.parity.sides import trajectory
from official.parity.sides.candidate import Candidate
from official.parity.sides.forcing import OriginalValues
from official.parity.sides.given import Given
from official.parity.sides.original import Original
from official.parity.sides.runs import Runs
from official.parity.sides.stage_names import phases
from official.parity.stages import derivatives, ties
from official.parity.stages.judging import Judge, Judged, no_twins
from official.parity.stages.localize import Graph

_BY_CHANGE = ("parameter", "buffer", "average")
# In float64 what such steps are divided by damps them; what is set wrongly moves a parameter more.
_AT_REST = 1e-6


class Comparison:
  """Both sides, recorded.

  Attributes:
    original: recordings of the original.
    candidate: our side, with the original's weights.
    free: the candidate's own recording.
    runs: its further recordings.
    stages: of the run.
    steps: training steps.
    correspondence: of names and layouts.
    matcher: of what is to be compared.
    judge: of what is compared.
    state: training step → the original's state after it, as the candidate's.
  """

  def __init__(
    self,
    case: ParityCase,
    original: Original,
    candidate: Candidate,
    stages: Sequence[str],
    steps: int,
    excuses: Excuses,
  ) -> None:
    self.original, self.candidate = original, candidate
    self.stages, self.steps = tuple(stages), steps
    self.passes = [p for p in phases(stages) if p in ("eval", "train")]
    self.free = candidate.record(phases(stages), stages)
    self.correspondence = Correspondence(case, candidate.plan, original.own, self.free)
    self.matcher = Matcher(self.correspondence, original.own, self.free)
    self.judge = Judge(original, excuses)
    self.state = functools.lru_cache(maxsize=2)(self._read_state)
    self._choices = {
      tap
      for pairs in self.correspondence.by_candidate.values()
      for tap, pair in pairs.items()
      if tap in case.choices or pair.reference in case.choices
    }
    self.runs = Runs(
      original, candidate, self.correspondence, self.free, self.passes, steps, self._choices
    )

  def graph(self, phase: str) -> Graph:
    """The candidate's calls in a phase."""
    pairs = self.correspondence.by_candidate.get(phase, {})
    return Graph(self.free.taps(phase), set(pairs))

  def given(self, phase: str) -> Callable[[TapInfo], bool]:
    """Tells whether a call of the forced pass was given what its counterpart was."""
    if self.runs.forced is None:
      return lambda tap: True
    return Given(self.correspondence, self.original, self.runs.forced, phase).alike

  def is_derivative(self, tap: TapInfo) -> bool:
    """Whether what a call of the training pass hands back is the derivative of its outputs."""
    candidate = self.candidate
    given = (
      None if self.runs.full else ()
    )  # Of figures alone nothing can be fed: at its own values.
    values = OriginalValues(
      self.correspondence, self.original.golden, self.free, "train", only=given
    )
    call = candidate.recorder.capture(
      candidate.inputs(), "train", tap_name(tap.path, tap.call), values
    )
    return derivatives.agree(call, candidate.side.network, candidate.seed)

  def silent(self, upstream: Iterable[Judged]) -> set[str]:
    """Taps at which no gradient arrives, although the original's does."""
    recording = self.runs.forced or self.free
    return {
      j.match.name
      for j in upstream
      if not j.finding.status.passes and j.match.candidate(recording) is None
    }

  def judged(self, matches: Iterable[Match]) -> list[Judged]:
    """Findings on what a pass made, end to end and layer by layer.

    Where a choice falls otherwise, what comes after goes on with the original's.
    """
    runs, low = self.runs, self.judge.precision != "float64"
    judged = self.judge.judge(
      matches,
      runs.pinned,
      runs.forced,
      twins=no_twins if low and runs.full else runs.free_twins,
      forced_twins=runs.forced_twins if low else no_twins,
    )
    return ties.settled(judged, self._choices, runs, self.original) if self._choices else judged

  def judged_steps(self, matches: Mapping[int, Sequence[Match]], doubt: bool) -> list[Judged]:
    """Findings on what training steps left: going on by themselves, and from the original's state.

    Parameters, statistics and averages are judged by how they changed. Below float64 a step goes
    on from the original's state only; where only figures of that are kept, by itself only.

    Args:
      matches: step, from 1 → what is compared.
      doubt: whether what differs may be noise, so that it is worth a closer look.
    """
    # By itself first: what a trainer keeps to itself is then as it was made.
    by_itself = self.judge.precision == "float64" or not self.runs.full
    alone = self._judged_alone(matches, doubt) if by_itself else []
    if not self.runs.full:
      return alone
    led = self.judge.judge(
      [self._change(match, step - 1) for step, part in matches.items() for match in part],
      self.runs.led,
      twins=self.runs.led_twins if doubt else no_twins,
    )
    judged = [joined(*pair) for pair in zip(alone, led, strict=True)] if alone else led
    limit = _AT_REST if alone else np.inf
    return [_at_rest(j, limit) if _parameter(j.match) in self._unmoved else j for j in judged]

  @functools.cached_property
  def _unmoved(self) -> set[str]:
    """Parameters whose gradient is zero but for rounding, in the original in float64."""
    sizes = {}
    for match in self.matcher.of_parameters("gradients", "train", "gradient"):
      ours = match.candidate(self.free)
      theirs = None if ours is None else match.original(self.original.golden, ours.shape)
      if theirs is not None:
        sizes[match.name] = measures.magnitude(theirs).largest
    scale = max(sizes.values(), default=0.0)
    return {name for name, size in sizes.items() if size <= verdict.ZERO * scale}

  def _judged_alone(self, matches: Mapping[int, Sequence[Match]], doubt: bool) -> list[Judged]:
    by_change = [self._change(match, 0) for part in matches.values() for match in part]
    return self.judge.judge(
      by_change, self.runs.alone, twins=self.runs.alone_twins if doubt else no_twins
    )

  def _change(self, match: Match, since: int) -> Match:
    if not self.runs.full or match.section not in _BY_CHANGE:
      return match
    key = match.section, match.name
    return changed(match, lambda: self.state(since).get(key), self.judge.precision)

  def _read_state(self, step: int) -> trajectory.State:
    """The original's state after a training step, as the candidate's."""
    return self.correspondence.state(trajectory.read_state(self.original.own, step))


def changed(match: Match, base: Callable[[], np.ndarray | None], precision: str) -> Match:
  """`match` by the difference of both sides from `base`, whose values are rounded themselves.

  Args:
    match: of what is there before and after.
    base: reads it as it was before, in the candidate's layout; None where it was not.
    precision: of the run.
  """
  rounding = verdict.ROUNDINGS * verdict.EPSILON[precision]

  def noise() -> np.ndarray | None:
    before = base()
    return None if before is None else rounding * np.abs(before.astype(np.float64))

  return dataclasses.replace(
    match,
    candidate=lambda recording: _minus(match.candidate(recording), base()),
    original=lambda recording, shape: _minus(match.original(recording, shape), base()),
    rounding=noise,
  )


def joined(alone: Judged, led: Judged) -> Judged:
  """One finding of two: a step by itself, and from the original's state."""
  finding = dataclasses.replace(
    alone.finding, forced_error=led.finding.error, forced_status=led.finding.status
  )
  if alone.finding.status.passes and not led.finding.status.passes:
    finding = dataclasses.replace(finding, status=led.finding.status, reason=led.finding.reason)
  return Judged(alone.match, finding)


def _parameter(match: Match) -> str:
  """The parameter that a match of a step's results speaks of."""
  return match.name.rpartition("|")[0] if match.section == "slot" else match.name


def _at_rest(judged: Judged, limit: float) -> Judged:
  """A pass up to `limit`: optimizers make steps of what rounding leaves of no gradient."""
  finding = judged.finding
  error = max(finding.error, finding.forced_error or 0.0)
  if finding.status != Status.DIFFERENT or not error < limit:
    return judged
  reason = "its gradient is zero in exact arithmetic: the steps are made of rounding"
  return Judged(judged.match, dataclasses.replace(finding, status=Status.SAME, reason=reason))


def _minus(array: np.ndarray | None, base: np.ndarray | None) -> np.ndarray | None:
  if array is None or base is None or array.shape != base.shape:
    return array
  return array.astype(np.float64) - base
