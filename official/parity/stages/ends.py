"""The two ends of the network, compared: preprocessing and post-processing."""

from collections.abc import Sequence

import numpy as np

from official.parity.case import Arrays, ParityCase
from official.parity.comparing import choices, verdict
from official.parity.keys import Key
from official.parity.recording.reader import Recording
from official.parity.result import Status
from official.parity.sides import images
from official.parity.stages.comparison import Comparison, joined
from official.parity.stages.judging import Judged

_STIRS = 16


class Made(dict[Key, np.ndarray]):
  """Arrays by key, read as those of a recording are."""

  absent: dict[Key, str] = {}  # noqa: RUF012

  def read(self, key: Key) -> np.ndarray:
    """The array."""
    return self[key]


def judged_preprocess(comparison: Comparison) -> list[Judged]:
  """Findings on what is made of one raw image."""
  matches = comparison.matcher.of_inputs("preprocess", "preprocess", "array")
  return comparison.judge.judge(matches, comparison.free)


class Postprocess:
  """Compares what is made of the network's outputs: of the candidate's own, and the original's.

  Args:
    case: names the choices.
    comparison: has the outputs.
  """

  def __init__(self, case: ParityCase, comparison: Comparison) -> None:
    self._choices = case.choices
    self._comparison = comparison
    self._matches = list(comparison.matcher.of_names("postprocess", "postprocess", "array"))
    own = comparison.matcher.of_taps("postprocess", "eval", "output")
    self._outputs = comparison.judged(match for match in own if images.is_own(match.name))

  def judged(self) -> list[Judged]:
    """Findings; what falls either way inside the noise is a near tie."""
    alone, given = self._judge(self._comparison.free), self._given()
    if given is None:
      return alone
    led = self._settled(given)
    agreed = all(j.finding.status.passes for j in (*led, *self._outputs))
    return [
      joined(_tied(one) if agreed and self._choices else one, other)
      for one, other in zip(alone, led, strict=True)
    ]

  def _judge(self, recording: Recording | Made) -> list[Judged]:
    return self._comparison.judge.judge(self._matches, recording)

  def _settled(self, outputs: Arrays) -> list[Judged]:
    """Findings on what is made of the original's outputs."""
    made = self._made(outputs)
    judged = self._judge(made)
    if not self._choices or all(j.finding.status.passes for j in judged):
      return judged
    noise = verdict.ROUNDINGS * verdict.EPSILON[self._comparison.judge.precision]
    random = np.random.default_rng(0)
    stirred = [
      self._made({leaf: choices.stir(array, noise, random) for leaf, array in outputs.items()})
      for _ in range(_STIRS)
    ]
    chosen = [self._tie(j, made, stirred) for j in judged if j.match.name in self._choices]
    if not any(j.finding.status == Status.NEAR_TIE for j in chosen):
      return judged
    return [self._tie(j, made, stirred) for j in judged]

  def _tie(self, judged: Judged, made: Made, stirred: Sequence[Made]) -> Judged:
    match, finding = judged.match, judged.finding
    if finding.status != Status.DIFFERENT:
      return judged
    ours = match.candidate(made)
    theirs = match.original(self._comparison.original.own, ours.shape)
    limit = max(finding.limit, verdict.RELATIVE)
    if choices.near_tie(ours, theirs, [match.candidate(other) for other in stirred], limit):
      return Judged(match, choices.as_tie(finding))
    return judged

  def _made(self, outputs: Arrays) -> Made:
    """What the candidate makes of `outputs`."""
    made = self._comparison.candidate.side.postprocess(outputs)
    return Made(
      {Key("postprocess", "array", name): np.asarray(array) for name, array in made.items()}
    )

  def _given(self) -> Arrays | None:
    """The original's outputs as the candidate's; those that have no pair are its own.

    None where none has a pair.
    """
    own = self._comparison.free
    outputs = {
      images.leaf_of(name): own.read(Key("eval", "output", name))
      for name in own.names("eval", "output")
      if images.is_own(name)
    }
    for judged in self._outputs:
      leaf = images.leaf_of(judged.match.name)
      array = judged.match.original(self._comparison.original.own, outputs[leaf].shape)
      outputs[leaf] = array.astype(outputs[leaf].dtype)
    return outputs if self._outputs else None


def _tied(judged: Judged) -> Judged:
  """A near tie, where the candidate's own outputs agree and what is made of them does not."""
  different = judged.finding.status == Status.DIFFERENT
  return Judged(judged.match, choices.as_tie(judged.finding)) if different else judged
