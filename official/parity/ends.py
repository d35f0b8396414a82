"""The two ends of the network, compared: preprocessing and post-processing."""

from collections.abc import Sequence

import numpy as np

from official.parity import choices, images, verdict
from official.parity.case import Arrays, ParityCase
from official.parity.comparison import Comparison, joined
from official.parity.judging import Judged
from official.parity.keys import Key
from official.parity.recording import Recording
from official.parity.result import Status

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

  def judged(self) -> list[Judged]:
    """Findings; what falls either way inside the noise is a near tie."""
    own, given = self._own(), self._given()
    alone = self._settled(self._comparison.free, own, _distance(own, given))
    if given.keys() != own.keys():
      return alone
    led = self._settled(self._made(given), given, 0.0)
    return [joined(one, other) for one, other in zip(alone, led, strict=True)]

  def _settled(self, recording: Recording | Made, outputs: Arrays, noise: float) -> list[Judged]:
    judged = self._comparison.judge.judge(self._matches, recording)
    if not self._choices or all(j.finding.status.passes for j in judged):
      return judged
    noise = max(noise, verdict.ROUNDINGS * verdict.EPSILON[self._comparison.judge.precision])
    random = np.random.default_rng(0)
    stirred = [
      self._made({leaf: choices.stir(array, noise, random) for leaf, array in outputs.items()})
      for _ in range(_STIRS)
    ]
    chosen = [self._tie(j, recording, stirred) for j in judged if j.match.name in self._choices]
    if not any(j.finding.status == Status.NEAR_TIE for j in chosen):
      return judged
    return [self._tie(j, recording, stirred) for j in judged]

  def _tie(self, judged: Judged, recording: Recording | Made, stirred: Sequence[Made]) -> Judged:
    match, finding = judged.match, judged.finding
    if finding.status != Status.DIFFERENT:
      return judged
    ours = match.candidate(recording)
    theirs = match.original(self._comparison.original.own, ours.shape)
    limit = max(finding.limit, verdict.RELATIVE)
    if choices.near_tie(ours, theirs, [match.candidate(made) for made in stirred], limit):
      return Judged(match, choices.as_tie(finding))
    return judged

  def _made(self, outputs: Arrays) -> Made:
    """What the candidate makes of `outputs`."""
    made = self._comparison.candidate.side.postprocess(outputs)
    return Made(
      {Key("postprocess", "array", name): np.asarray(array) for name, array in made.items()}
    )

  def _own(self) -> dict[str, np.ndarray]:
    """The network's outputs of the candidate, by leaf."""
    free = self._comparison.free
    names = [name for name in free.names("eval", "output") if images.is_own(name)]
    return {images.leaf_of(name): free.read(Key("eval", "output", name)) for name in names}

  def _given(self) -> dict[str, np.ndarray]:
    """The original's, as the candidate's; those that have a pair."""
    comparison, found = self._comparison, {}
    for match in comparison.matcher.of_taps("postprocess", "eval", "output"):
      if images.is_own(match.name):
        ours = match.candidate(comparison.free)
        found[images.leaf_of(match.name)] = match.original(comparison.original.own, ours.shape)
    return found


def _distance(own: Arrays, given: Arrays) -> float:
  """The largest relative error of the candidate's outputs."""
  errors = (
    verdict.noise(own[leaf], given[leaf]).largest
    for leaf in given
    if own[leaf].shape == given[leaf].shape and verdict.is_float(own[leaf])
  )
  return max((error for error in errors if np.isfinite(error)), default=0.0)
