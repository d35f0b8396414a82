"""Taps that put out choices: a difference inside the noise is a near tie."""

import dataclasses
from collections.abc import Sequence

from official.parity import choices
from official.parity.judging import Judged
from official.parity.matches import Match
from official.parity.original import Original
from official.parity.recording import Recording
from official.parity.result import Status
from official.parity.runs import Runs


def settled(judged: Judged, runs: Runs, original: Original) -> Judged:
  """`judged` as a near tie, where noise makes the candidate choose as the original does.

  Args:
    judged: of a tap that puts out choices.
    runs: of the candidate.
    original: whose choices count.
  """
  finding = judged.finding
  if finding.status != Status.DIFFERENT or runs.forced is None:
    return judged
  if not _explained(judged.match, original, runs.pinned_twins()):
    return judged
  forced = finding.forced_status
  if forced == Status.DIFFERENT:
    if not _explained(judged.match, original, runs.forced_twins()):
      return judged
    forced = Status.NEAR_TIE
  return Judged(judged.match, dataclasses.replace(choices.as_tie(finding), forced_status=forced))


def _explained(match: Match, original: Original, twins: Sequence[Recording]) -> bool:
  """Whether the first of `twins` chooses as the original, up to what the others choose."""
  chosen = [array for twin in twins if (array := match.candidate(twin)) is not None]
  if not chosen:
    return False
  theirs = match.original(original.own, chosen[0].shape)
  return theirs is not None and choices.near_tie(chosen[0], theirs, chosen[1:])
