"""What is to be compared: each array of a section with its counterpart, read when it is needed."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from official.parity.correspondence import Correspondence
from official.parity.header import TapInfo
from official.parity.keys import Key
from official.parity.pairing import Pair
from official.parity.recording import Recording

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Match:
  """One array of the candidate and one of the original, in whatever recordings they are.

  Attributes:
    stage: of the finding that it will be; so are `section`, `phase`, `name`, `reference`, `order`
      and `layer`.
    candidate: reads the candidate's; None where the recording has none.
    original: reads the original's in the candidate's layout, given the candidate's shape; None
      where there is none. May raise LayoutError.
    absent: reads why the candidate's (first) and the original's recording have none.
    rounding: by how much values may be off because they are differences of larger ones.
  """

  stage: str
  section: str
  phase: str
  name: str
  reference: str
  order: int
  layer: str
  candidate: Callable[[Recording], np.ndarray | None]
  original: Callable[[Recording, Shape], np.ndarray | None]
  absent: Callable[[Recording, Recording], tuple[str, str]]
  rounding: Callable[[], np.ndarray] | None = None


class Matcher:
  """Makes the matches of each section.

  Args:
    correspondence: of names and layouts.
    original: a recording of the original, for its names.
    candidate: a recording of the candidate, for its names and layers.
  """

  def __init__(
    self, correspondence: Correspondence, original: Recording, candidate: Recording
  ) -> None:
    self._correspondence = correspondence
    self._original, self._candidate = original, candidate
    self._converted = functools.lru_cache(maxsize=2)(self._convert)

  @functools.cached_property
  def layers(self) -> dict[str, str]:
    """Class name of each layer of the candidate, by path."""
    return {tap.path: tap.layer for phase in ("train", "eval") for tap in self.taps(phase).values()}

  def taps(self, phase: str) -> dict[str, TapInfo]:
    """The candidate's taps, by name."""
    return {tap.name: tap for tap in self._candidate.taps(phase)}

  def of_taps(self, stage: str, phase: str, section: str) -> Iterator[Match]:
    """Outputs, or the gradients that arrive at them, in execution order."""
    taps = self.taps(phase)
    for pair in self._correspondence.by_candidate.get(phase, {}).values():
      tap = taps[pair.candidate]
      yield self._tap_match(stage, phase, section, pair, pair.reference, pair.candidate, tap)

  def of_term_gradients(self, stage: str) -> Iterator[Match]:
    """Gradients of each loss term with respect to the network's outputs."""
    taps, pairs = self.taps("train"), self._correspondence.by_candidate.get("train", {})
    names = _all_names(self._candidate, "train", "term_gradient")
    for name in names:
      term, _, tap = name.partition("|")
      if pair := pairs.get(tap):
        other = f"{term}|{pair.reference}"
        yield self._tap_match(stage, "train", "term_gradient", pair, other, name, taps[tap])

  def of_names(self, stage: str, phase: str, section: str) -> Iterator[Match]:
    """Arrays that have the same name and layout on both sides: losses, rates."""
    names = dict.fromkeys(
      _all_names(self._candidate, phase, section) + _all_names(self._original, phase, section)
    )
    for order, name in enumerate(names):
      key = Key(phase, section, name)
      yield Match(
        *(stage, section, phase, name, name, order, ""),
        candidate=functools.partial(_read, key=key),
        original=lambda recording, shape, key=key: _read(recording, key),
        absent=functools.partial(_absences, key, (key,)),
      )

  def of_parameters(self, stage: str, phase: str, section: str) -> Iterator[Match]:
    """Gradients, parameters, buffers, averages: what the transfer's plan carries."""
    ours = _all_names(self._candidate, phase, section)
    known = self._correspondence.plan.pairs
    theirs = set(_all_names(self._original, phase, section))
    names = [n for n in known if n in ours or theirs & set(known[n])]
    for order, name in enumerate(names):
      yield self._plan_match(stage, phase, section, name, known[name], order)

  def of_slots(self, stage: str, phase: str) -> Iterator[Match]:
    """Optimizer slots, "<parameter>|<slot>"."""
    sources = self._correspondence.plan.pairs
    theirs = self._converted(self._original, phase, "slot")
    names = dict.fromkeys([*_all_names(self._candidate, phase, "slot"), *theirs])
    for order, name in enumerate(names):
      parameter, _, slot = name.rpartition("|")
      yield self._plan_match(
        stage, phase, "slot", name, [f"{n}|{slot}" for n in sources.get(parameter, ())], order
      )

  def _tap_match(
    self,
    stage: str,
    phase: str,
    section: str,
    pair: Pair,
    reference: str,
    name: str,
    tap: TapInfo,
  ) -> Match:
    ours, theirs = Key(phase, section, name), Key(phase, section, reference)

    def original(recording: Recording, shape: Shape) -> np.ndarray | None:
      array = _read(recording, theirs)
      return None if array is None else self._correspondence.tap(array, pair, shape)

    return Match(
      *(stage, section, phase, name, reference, tap.order, tap.layer),
      candidate=functools.partial(_read, key=ours),
      original=original,
      absent=functools.partial(_absences, ours, (theirs,)),
    )

  def _plan_match(
    self,
    stage: str,
    phase: str,
    section: str,
    name: str,
    sources: Iterable[str],
    order: int,
  ) -> Match:
    key, sources = Key(phase, section, name), tuple(sources)
    parameter = name.partition("|")[0]
    return Match(
      *(stage, section, phase, name, ", ".join(sources), order),
      layer=self.layers.get(owner(parameter), ""),
      candidate=functools.partial(_read, key=key),
      original=lambda recording, shape: self._converted(recording, phase, section).get(name),
      absent=functools.partial(_absences, key, [Key(phase, section, s) for s in sources]),
    )

  def _convert(self, recording: Recording, phase: str, section: str) -> dict[str, np.ndarray]:
    """A whole section of the original, as the candidate names it; absent parts of it are zero."""
    arrays = recording.section(phase, section)
    if section == "gradient":
      for key in recording.absent:
        if key[:2] == (phase, section) and arrays:
          arrays[key.name] = self._zeros(key.name, next(iter(arrays.values())).dtype)
    return self._correspondence.section(section, arrays)

  def _zeros(self, parameter: str, dtype: np.dtype) -> np.ndarray:
    return np.zeros(self._correspondence.plan.sources[parameter], dtype)


def owner(variable: str) -> str:
  """Path of the layer that a variable belongs to."""
  return variable.rpartition("/")[0]


def _all_names(recording: Recording, phase: str, section: str) -> list[str]:
  """Names of a section, absent ones too."""
  absent = [key.name for key in recording.absent if key[:2] == (phase, section)]
  return recording.names(phase, section) + absent


def _read(recording: Recording, key: Key) -> np.ndarray | None:
  return recording.read(key) if key in recording else None


def _absences(
  ours: Key, theirs: Iterable[Key], candidate: Recording, original: Recording
) -> tuple[str, str]:
  """Why each side has no array; empty where it has one."""
  reasons = [original.absent.get(key, "") for key in theirs if key not in original]
  missing = reasons[0] or "not recorded" if reasons else ""
  return ("" if ours in candidate else candidate.absent.get(ours, "not recorded")), missing
