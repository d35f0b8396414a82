"""The stages of a run: what each compares, and whom it blames."""

import dataclasses
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from official.parity.case import ParityCase
from official.parity.comparing.matches import Match
from official.parity.keys import ROOT, TOTAL, step_phase
from official.parity.result import Blame, Finding, Stage
from official.parity.stages import ends, localize, structure
from official.parity.stages.comparison import Comparison
from official.parity.stages.judging import Judged

_STATE = ("rate", "parameter", "slot", "buffer", "average", "loss")


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What a stage found."""

  findings: Sequence[Finding]
  blames: Sequence[Blame] = ()


class Stages:
  """Runs stages in order; each knows whom those before it blame.

  Args:
    case: what is proven equal.
    comparison: of both sides.
    settings: of both sides, where they differ.
  """

  def __init__(self, case: ParityCase, comparison: Comparison, settings: structure.Rows) -> None:
    self._case = case
    self._comparison = comparison
    self._settings = settings
    self._blames: list[Blame] = []
    self._failed = False

  def run(self, name: str) -> Stage:
    """Runs the stage `name` of `case.STAGES`."""
    began = time.monotonic()
    outcome: Outcome = getattr(self, f"_{name}")()
    blames = outcome.blames
    failing = [finding for finding in outcome.findings if not finding.status.passes]
    if failing and not blames and not self._failed and name != structure.STAGE:
      blames = [_first(failing)]
    self._blames += blames
    self._failed = self._failed or bool(failing and name != structure.STAGE)
    return Stage(name, outcome.findings, blames, seconds=time.monotonic() - began)

  @property
  def _blamed(self) -> set[str]:
    return {blame.layer for blame in self._blames}

  def _structure(self) -> Outcome:
    comparison, excuses = self._comparison, self._comparison.judge.excuses
    findings = structure.settings(self._settings, excuses)
    plan, original = comparison.candidate.plan, comparison.original.own
    findings += structure.weights(plan, original, comparison.free, comparison.matcher)
    findings += structure.coverage(comparison.correspondence, excuses, comparison.matcher)
    wrong = [f for f in findings if f.section in ("setting", "parameter", "buffer")]
    return Outcome(findings, [Blame(f, f.name) for f in wrong if not f.status.passes])

  def _forward(self) -> Outcome:
    comparison, matcher = self._comparison, self._comparison.matcher
    findings: list[Finding] = []
    blames: list[Blame] = []
    for phase in comparison.passes:
      outputs = comparison.judged(matcher.of_taps("forward", phase, "output"))
      findings += _findings(outputs)
      found = localize.forward(outputs, comparison.graph(phase), comparison.given(phase))
      blames += _new(found, {blame.layer for blame in blames})
    if "train" in comparison.passes:
      buffers = comparison.judged(matcher.of_parameters("forward", "train", "buffer"))
      findings += _findings(buffers)
      blames += localize.statistics(buffers, {blame.layer for blame in blames})
    return Outcome(findings, blames)

  def _loss(self) -> Outcome:
    judged = self._comparison.judged(self._comparison.matcher.of_names("loss", "train", "loss"))
    return Outcome(_findings(judged), localize.losses(judged))

  def _gradients(self) -> Outcome:
    comparison, matcher, stage = self._comparison, self._comparison.matcher, "gradients"
    terms = comparison.judged(matcher.of_term_gradients(stage))
    upstream = comparison.judged(matcher.of_taps(stage, "train", "upstream"))
    gradients = comparison.judged(matcher.of_parameters(stage, "train", "gradient"))
    blames = localize.term_gradients(terms, self._blamed)
    if any(blame.finding.forced_error == np.inf for blame in self._blames):
      return Outcome(_findings([*terms, *upstream, *gradients]), blames)  # Nothing fits further up.
    losses = [*blames, *(blame for blame in self._blames if blame.finding.stage == "loss")]
    blames += localize.backward(
      upstream,
      gradients,
      comparison.graph("train"),
      self._blamed | ({TOTAL} if losses else set()),
      comparison.silent(upstream),
      comparison.is_derivative,
    )
    return Outcome(_findings([*terms, *upstream, *gradients]), blames)

  def _optimizer(self) -> Outcome:
    start = self._matches("optimizer", 0, ("rate", "average"))
    return self._steps({1: [*start, *self._matches("optimizer", 1, _STATE)]})

  def _trajectory(self) -> Outcome:
    first = 2 if "optimizer" in self._comparison.stages else 1
    steps = range(first, self._comparison.steps + 1)
    return self._steps({step: self._matches("trajectory", step, _STATE) for step in steps})

  def _steps(self, matches: Mapping[int, Sequence[Match]]) -> Outcome:
    """Blames the first step that differs, unless something before it does: then steps must."""
    judged = self._comparison.judged_steps(matches, doubt=not self._failed)
    if self._failed:
      return Outcome(_findings(judged))
    parts = (list(part) for _, part in itertools.groupby(judged, lambda j: j.match.phase))
    blames = (localize.optimizer(part) for part in parts)
    return Outcome(_findings(judged), next(filter(None, blames), []))

  def _matches(self, stage: str, step: int, sections: Sequence[str]) -> list[Match]:
    """What training step `step` leaves."""
    matcher, phase = self._comparison.matcher, step_phase(step)
    matches: list[Match] = []
    for section in sections:
      if section == "slot":
        matches += matcher.of_slots(stage, phase)
      elif section in ("rate", "loss"):
        matches += matcher.of_names(stage, phase, section)
      else:
        matches += matcher.of_parameters(stage, phase, section)
    return matches

  def _preprocess(self) -> Outcome:
    judged = ends.judged_preprocess(self._comparison)
    return Outcome(_findings(judged), _named(judged, "preprocess"))

  def _postprocess(self) -> Outcome:
    judged = ends.Postprocess(self._case, self._comparison).judged()
    return Outcome(_findings(judged), _named(judged, "postprocess"))


def _findings(judged: Iterable[Judged]) -> list[Finding]:
  return [j.finding for j in judged]


def _new(blames: Iterable[Blame], known: set[str]) -> list[Blame]:
  return [blame for blame in blames if blame.layer not in known]


def _named(judged: Sequence[Judged], layer: str) -> list[Blame]:
  """One blame, of the first array that differs by itself."""
  return [Blame(j.finding, layer) for j in judged if localize.differs(j)][:1]


def _first(failing: Sequence[Finding]) -> Blame:
  """Where no layer by itself is to blame: the first that differs end to end."""
  finding = min(failing, key=lambda finding: finding.order)
  return Blame(finding, finding.name or ROOT)
