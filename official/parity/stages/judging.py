"""From matches to findings: verdicts with the scale and the noise of their section."""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np

from official.parity.comparing import measures, verdict
from official.parity.comparing.excuses import Excuses
from official.parity.comparing.layouts import LayoutError
from official.parity.comparing.matches import Match
from official.parity.comparing.measures import Noise
from official.parity.comparing.verdict import SILENCE, Verdict
from official.parity.recording.reader import Recording
from official.parity.result import Finding, Status
from official.parity.sides.original import Original

Twins = Callable[[Collection[str]], Iterable[Recording]]

_GRADIENTS = ("upstream", "gradient", "term_gradient")
_FIGURES = "by figures: the recording does not keep the array"
_UNKNOWN = "not recorded"


def no_twins(phases: Collection[str]) -> tuple[Recording, ...]:
  """`Twins` where there are none."""
  del phases
  return ()


@dataclasses.dataclass(frozen=True)
class Judged:
  """A match and what came of it.

  Attributes:
    match: what was compared.
    finding: the verdict; the forced one is in it where there was one.
  """

  match: Match
  finding: Finding


class Judge:
  """Compares the candidate with the original.

  Args:
    original: recordings of the original.
    excuses: what need not be compared.
  """

  def __init__(self, original: Original, excuses: Excuses) -> None:
    self.original = original
    self.excuses = excuses
    self.precision = original.own.header.precision

  def judge(
    self,
    matches: Iterable[Match],
    candidate: Recording,
    forced: Recording | None = None,
    twins: Twins = no_twins,
    forced_twins: Twins = no_twins,
  ) -> list[Judged]:
    """Findings on all of `matches`, in their order.

    Args:
      matches: of one stage.
      candidate: the candidate's own recording.
      forced: the one with the original's values fed to each layer; None where there is none.
      twins: makes recordings as `candidate`, all but the first with what they are given moved by a
        few roundings, of the phases that it is given; called only where something differs end to
        end and nothing by itself.
      forced_twins: makes such recordings as `forced`.
    """
    matches = list(matches)
    excused = {id(m): r for m in matches if (r := self._excuse(m))}
    compared = [match for match in matches if id(match) not in excused]
    alone = self._verdicts(compared, forced, forced_twins) if forced else {}
    sound = all(found.status.passes for found in alone.values())
    free = self._verdicts(compared, candidate, twins if sound else no_twins)
    judged = []
    for match in matches:
      if reason := excused.get(id(match)):
        judged.append(Judged(match, _finding(match, _excused(reason))))
      elif found := free.get(id(match)):
        judged.append(Judged(match, _finding(match, found, alone.get(id(match)))))
    return judged if self.precision == "float64" else _amplified(judged)

  def _excuse(self, match: Match) -> str:
    return self.excuses.reason(match.section, match.name, match.reference)

  def _verdicts(
    self,
    matches: Sequence[Match],
    candidate: Recording,
    twins: Twins,
  ) -> dict[int, Verdict]:
    """Verdicts by the identity of their match; none where neither side has anything."""
    pools = self._pools(matches, candidate) if self.precision != "float64" else {}
    found: dict[int, Verdict] = {}
    for match in matches:
      result = self._compare(match, candidate, pool=pools.get(_group(match), 0.0))
      if result:
        found[id(match)] = result
    doubtful = [m for m in matches if id(m) in found and not found[id(m)].status.passes]
    if not doubtful:
      return found
    scales = self._scales(matches, candidate, {_group(match) for match in doubtful})
    noises = _stirred(doubtful, twins({match.phase for match in doubtful}))
    for match, noise in zip(doubtful, noises, strict=True):
      found[id(match)] = self._compare(
        match, candidate, scales[_group(match)], pools.get(_group(match), 0.0), noise
      )
    return found

  def _compare(
    self,
    match: Match,
    candidate: Recording,
    scale: float = 0.0,
    pool: float = 0.0,
    twin: Noise = SILENCE,
  ) -> Verdict | None:
    try:
      ours = match.candidate(candidate)
      own, golden = self._originals(match, ours)
    except LayoutError as error:
      return Verdict(Status.DIFFERENT, np.inf, 0.0, 0.0, str(error))
    missing = ""
    if ours is None or own is None:
      reasons = match.absent(candidate, self.original.own)
      if reasons == (_UNKNOWN, _UNKNOWN):
        return None
      if ours is None and own is None:
        return Verdict(Status.SAME, 0.0, 0.0, 0.0, f"none on either side ({reasons[0]})")
      if match.section not in _GRADIENTS:
        return Verdict(Status.UNPAIRED, np.inf, 0.0, 0.0, _missing(reasons))
      ours, own, golden = _with_zeros(ours, own, golden)
      missing = _missing(reasons)
    result = verdict.compare(
      ours,
      own,
      golden=golden,
      precision=self.precision,
      scale=scale,
      pool=pool,
      rounding=match.rounding() if match.rounding else None,
      twin=twin,
    )
    if match.figures and result.status.passes:
      missing = missing or _FIGURES
    return result._replace(reason=missing) if missing else result

  def _originals(
    self, match: Match, ours: np.ndarray | None
  ) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The original's array and the golden one, laid out as `ours`; may raise LayoutError."""
    shape = () if ours is None else ours.shape
    own = match.original(self.original.own, shape)
    if self.original.golden is self.original.own:
      return own, own
    return own, match.original(self.original.golden, shape)

  def _floats(
    self, matches: Iterable[Match], candidate: Recording
  ) -> Iterator[tuple[tuple[str, ...], np.ndarray, np.ndarray]]:
    """(group, the original's array, the golden one) of all that have values that are rounded."""
    for match in matches:
      with contextlib.suppress(LayoutError):
        own, golden = self._originals(match, match.candidate(candidate))
        if own is not None and golden is not None and own.size and verdict.is_float(own):
          yield _group(match), own, golden

  def _pools(self, matches: Sequence[Match], candidate: Recording) -> dict[tuple[str, ...], float]:
    """The median of the original's relative noise, by group."""
    means = collections.defaultdict(list)
    for group, own, golden in self._floats(matches, candidate):
      noise = verdict.noise(own, golden).mean
      if np.isfinite(noise):
        means[group].append(noise)
    return {group: float(np.median(values)) for group, values in means.items()}

  def _scales(
    self, matches: Sequence[Match], candidate: Recording, groups: set[tuple[str, ...]]
  ) -> dict[tuple[str, ...], float]:
    """The largest rms of the original's arrays, by group."""
    scales = dict.fromkeys(groups, 0.0)
    wanted = [match for match in matches if _group(match) in groups]
    for group, _, golden in self._floats(wanted, candidate):
      scales[group] = max(scales[group], measures.magnitude(golden).rms)
    return scales


def _stirred(matches: Sequence[Match], twins: Iterable[Recording]) -> list[Noise]:
  """The largest relative errors of other twins against the first; each is read as it comes."""
  largest = [SILENCE] * len(matches)
  others = iter(twins)
  first = next(others, None)
  for other in others:
    for index, match in enumerate(matches):
      ours, theirs = match.candidate(other), match.candidate(first)
      if ours is not None and theirs is not None and ours.shape == theirs.shape:
        noise = verdict.noise(ours, theirs)
        largest[index] = Noise(*(max(pair) for pair in zip(largest[index], noise, strict=True)))
  return largest


def _group(match: Match) -> tuple[str, ...]:
  """What shares a scale: a section, in one phase; a kind of slot."""
  kind = match.name.rpartition("|")[2] if match.section == "slot" else ""
  return match.phase, match.section, kind


def _missing(reasons: tuple[str, str]) -> str:
  if reasons[0]:
    return f"the candidate has none ({reasons[0]}), the original has"
  return f"the original has none ({reasons[1]}), the candidate has"


def _with_zeros(
  ours: np.ndarray | None, own: np.ndarray | None, golden: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """No gradient is a gradient of zero."""
  some = next(array for array in (ours, own) if array is not None)
  zeros = np.zeros_like(some)
  return (
    zeros if ours is None else ours,
    zeros if own is None else own,
    zeros if golden is None else golden,
  )


def _excused(reason: str) -> Verdict:
  return Verdict(Status.EXCUSED, 0.0, 0.0, 0.0, reason)


def _finding(match: Match, own: Verdict, alone: Verdict | None = None) -> Finding:
  status, reason = own.status, own.reason
  if alone and status.passes and not alone.status.passes:
    status = alone.status
    reason = alone.reason or "agrees end to end, but not on the original's values"
  return Finding(
    *(match.stage, match.section, match.phase, match.name, match.reference, match.order),
    layer=match.layer,
    status=status,
    error=own.error,
    noise=own.noise,
    limit=own.limit,
    forced_error=alone.error if alone else None,
    forced_status=alone.status if alone else None,
    reason=reason,
  )


def _amplified(judged: Sequence[Judged]) -> list[Judged]:
  """Below float64: where every layer by itself is within its noise, more is noise amplified."""
  if not all(j.finding.forced_status is None or j.finding.forced_status.passes for j in judged):
    return list(judged)
  return [
    Judged(
      j.match,
      dataclasses.replace(
        j.finding,
        status=Status.SAME,
        reason="every layer by itself is within its noise: rounding, amplified on the way",
      ),
    )
    if j.finding.status == Status.DIFFERENT and j.finding.forced_status and j.finding.error < np.inf
    else j
    for j in judged
  ]
