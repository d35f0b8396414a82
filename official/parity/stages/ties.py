"""Taps that put out choices: a difference inside the noise is a near tie."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence

from official.parity.comparing import choices
from official.parity.comparing.matches import Match
from official.parity.recording.reader import Recording
from official.parity.result import Status
from official.parity.sides.original import Original
from official.parity.sides.runs import Runs
from official.parity.stages.judging import Judged


def settled(
  judged: Iterable[Judged], names: Collection[str], runs: Runs, original: Original
) -> list[Judged]:
  """`judged` with near ties, where noise is all that makes the candidate choose otherwise.

  By itself, a layer chooses as the original does on the original's scores, or would if they were
  moved by a few roundings. End to end, such a layer chooses otherwise although all before it
  agrees: then the scores are nearer to each other than the two sides are.

  Args:
    judged: outputs of one pass, in execution order.
    names: of taps that put out choices.
    runs: of the candidate.
    original: whose choices count.
  """
  found, agreed = [], True
  for one in judged:
    if one.match.name in names and one.finding.status == Status.DIFFERENT and runs.forced:
      one = _settled(one, runs, original, agreed)
    agreed = agreed and one.finding.status.passes
    found.append(one)
  return found


def _settled(judged: Judged, runs: Runs, original: Original, agreed: bool) -> Judged:
  finding = judged.finding
  if finding.forced_status == Status.DIFFERENT:
    if not _explained(judged.match, original, runs.forced_twins()):
      return judged
    finding = dataclasses.replace(finding, forced_status=Status.NEAR_TIE)
  return Judged(judged.match, choices.as_tie(finding) if agreed else finding)


def _explained(match: Match, original: Original, twins: Sequence[Recording]) -> bool:
  """Whether the first of `twins` chooses as the original, up to what the others choose."""
  chosen = [array for twin in twins if (array := match.candidate(twin)) is not None]
  if not chosen:
    return False
  theirs = match.original(original.own, chosen[0].shape)
  return theirs is not None and choices.near_tie(chosen[0], theirs, chosen[1:])
