"""Recordings of the candidate beyond its own: fed with the original's values, trained, stirred."""

import functools
from collections.abc import Callable, Collection, Iterator, Sequence

from official.parity.comparing.correspondence import Correspondence
from official.parity.recording.reader import Recording
from official.parity.recording.tiers import Tier
from official.parity.sides.candidate import Candidate
from official.parity.sides.original import Original

_TWINS = 4  # One upwards; a kink that noise falls over to either side is seen by one in three.
_CHOICE_TWINS = 8


class Runs:
  """Makes recordings when they are asked for, each once.

  Attributes:
    full: whether whole arrays of the original are kept, so that they can be fed to the candidate.
    free: the candidate's own recording.

  Args:
    original: recordings of the original.
    candidate: with the original's weights.
    correspondence: of names and layouts.
    free: the candidate's own recording.
    passes: "eval", "train".
    steps: training steps.
    choices: taps of the candidate that put out choices.
  """

  def __init__(
    self,
    original: Original,
    candidate: Candidate,
    correspondence: Correspondence,
    free: Recording,
    passes: Sequence[str],
    steps: int,
    choices: Collection[str],
  ) -> None:
    self.full = original.own.tier == Tier.FULL
    self.free = free
    self._golden, self._candidate, self._correspondence = original.golden, candidate, correspondence
    self._passes, self._steps, self._choices = passes, steps, choices
    self._twins: dict[str, list[Recording]] = {}

  @functools.cached_property
  def forced(self) -> Recording | None:
    """With the original's values fed to each layer; None where there are none."""
    return self._forced(0) if self.full else None

  @functools.cached_property
  def pinned(self) -> Recording:
    """With the original's choices, and all else the candidate's own."""
    return self._fed(0, self._choices) if self.full and self._choices else self.free

  @functools.cached_property
  def led(self) -> Recording:
    """Training steps, each from the state that the original started from."""
    return self._candidate.record_steps(self._steps, self._correspondence)

  @functools.cached_property
  def alone(self) -> Recording:
    """Training steps, each from the one before."""
    return self._candidate.record_steps(self._steps)

  def forced_twins(self, phases: Collection[str] = ()) -> list[Recording]:
    """`forced`, and the same with all values moved by a few roundings; of all phases."""
    del phases
    return [self.forced, *self._made("forced", self._forced)]

  def free_twins(self, phases: Collection[str]) -> list[Recording]:
    """`free`, and the same with inputs moved by a few roundings; of all phases."""
    del phases
    return [self.free, *self._made("free", lambda stir: self._fed(stir, ()))]

  def led_twins(self, phases: Collection[str]) -> Iterator[Recording]:
    """As `led`, with inputs and weights moved by a few roundings.

    All as the trainer is after its first run. A trajectory fills a disk: only steps in `phases` are
    kept, and but for the first, a twin is gone when the next one is asked for.
    """
    return self._passing(phases, self._correspondence)

  def alone_twins(self, phases: Collection[str]) -> Iterator[Recording]:
    """As `alone`, with inputs and weights moved by a few roundings; see `led_twins`."""
    return self._passing(phases, None)

  def _forced(self, stir: int) -> Recording:
    return self._fed(stir, None)

  def _fed(self, stir: int, only: Collection[str] | None) -> Recording:
    return self._candidate.record_forced(
      self._passes, self._correspondence, self._golden, self.free, stir, only
    )

  def _made(self, kind: str, make: Callable[[int], Recording]) -> list[Recording]:
    if kind not in self._twins:
      self._twins[kind] = [make(stir) for stir in self._stirs]
    return self._twins[kind]

  def _passing(
    self, phases: Collection[str], correspondence: Correspondence | None
  ) -> Iterator[Recording]:
    make = functools.partial(self._candidate.record_steps, self._steps, correspondence)
    first, *others = self._stirs
    base = make(first, phases)
    yield base
    for stir in others:
      twin = make(stir, phases)
      yield twin
      twin.path.unlink()
    base.path.unlink()

  @property
  def _stirs(self) -> range:
    return range(1, (_CHOICE_TWINS if self._choices else _TWINS) + 1)
