"""Finds the counterpart of each array of a section, and the way from one to the other."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from official.parity.comparing import figures, layouts
from official.parity.comparing.correspondence import Correspondence
from official.parity.comparing.matches import Match, Shape, owner, rooted
from official.parity.comparing.pairing import Pair
from official.parity.keys import Key
from official.parity.recording.header import TapInfo
from official.parity.recording.reader import Recording
from official.parity.recording.tiers import Tier


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
    self._taken_back = functools.lru_cache(maxsize=2)(self._take_back)

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
    return self._of_names(stage, phase, section, lambda name, rank: "")

  def of_inputs(self, stage: str, phase: str, section: str) -> Iterator[Match]:
    """Arrays that are laid out as inputs of their names: what preprocessing makes."""
    return self._of_names(stage, phase, section, self._correspondence.input_layout)

  def _of_names(
    self, stage: str, phase: str, section: str, layout_of: Callable[[str, int], str]
  ) -> Iterator[Match]:
    names = dict.fromkeys(
      _all_names(self._candidate, phase, section) + _all_names(self._original, phase, section)
    )
    for order, name in enumerate(names):
      key = Key(phase, section, name)
      rank = len(self._original.shape(key)) if key in self._original else 0
      yield self._match((stage, section, phase, name, name, order, ""), key, layout_of(name, rank))

  def of_parameters(self, stage: str, phase: str, section: str) -> Iterator[Match]:
    """Gradients, parameters, buffers, averages: what the transfer's plan carries."""
    ours = _all_names(self._candidate, phase, section)
    known = self._correspondence.plan.pairs
    theirs = set(_all_names(self._original, phase, section))
    names = [n for n in known if n in ours or theirs & set(known[n])]
    for order, name in enumerate(names):
      yield self._plan_match(stage, phase, section, name, known[name], order)

  def of_slots(self, stage: str, phase: str) -> Iterator[Match]:
    """Optimizer slots, "<parameter>|<slot>"; below float64 second moments by their roots."""
    by_root = self._original.header.precision != "float64"
    sources = self._correspondence.plan.pairs
    theirs = self._converted(self._original, phase, "slot")
    names = dict.fromkeys([*_all_names(self._candidate, phase, "slot"), *theirs])
    for order, name in enumerate(names):
      parameter, _, slot = name.rpartition("|")
      theirs_of = [f"{n}|{slot}" for n in sources.get(parameter, ())]
      match = self._plan_match(stage, phase, "slot", name, theirs_of, order)
      yield rooted(match) if by_root and slot == "v" and not match.figures else match

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
    theirs = Key(phase, section, reference)
    rank = len(self._original.shape(theirs)) if theirs in self._original else 0
    about = (stage, section, phase, name, reference, tap.order, tap.layer)
    return self._match(about, theirs, pair.layout or self._correspondence.rank_layout(rank))

  def _match(self, about: tuple[Any, ...], theirs: Key, layout: str) -> Match:
    """Of one array of either side; `about` are the first fields of the match."""
    _, section, phase, name, *_ = about
    ours = Key(phase, section, name)

    def original(recording: Recording, shape: Shape) -> np.ndarray | None:
      array = _read(recording, theirs)
      return None if array is None else layouts.convert(array, layout, shape)

    match = Match(
      *about,
      candidate=functools.partial(_read, key=ours),
      original=original,
      absent=functools.partial(_absences, ours, (theirs,)),
    )
    return self._by_figures(match, theirs, layout) if self._is_figures(theirs) else match

  def _by_figures(self, match: Match, theirs: Key, layout: str) -> Match:
    shape = self._original.shape(theirs)

    def candidate(recording: Recording) -> np.ndarray | None:
      array = match.candidate(recording)
      return None if array is None else figures.of(array, layout, shape)

    def original(recording: Recording, shape: Shape) -> np.ndarray:
      return figures.vector(recording.statistics(theirs))

    return dataclasses.replace(match, candidate=candidate, original=original, figures=True)

  def _is_figures(self, key: Key) -> bool:
    return key in self._original and self._original.form(key) != Tier.FULL

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
    keys = [Key(phase, section, source) for source in sources]
    match = Match(
      *(stage, section, phase, name, ", ".join(sources), order),
      layer=self.layers.get(owner(parameter), ""),
      candidate=functools.partial(_read, key=key),
      original=lambda recording, shape: self._converted(recording, phase, section).get(name),
      absent=functools.partial(_absences, key, keys),
    )
    return self._sources_by_figures(match, keys) if any(map(self._is_figures, keys)) else match

  def _sources_by_figures(self, match: Match, keys: Sequence[Key]) -> Match:
    """`match` by figures of the original's parameters, of which the candidate's are taken back."""

    def candidate(recording: Recording) -> np.ndarray | None:
      arrays = self._taken_back(recording, match.phase, match.section)
      parts = [figures.of(arrays[k.name], "", self._original.shape(k)) for k in keys]
      return np.concatenate(parts)

    def original(recording: Recording, shape: Shape) -> np.ndarray:
      return np.concatenate([figures.vector(recording.statistics(key)) for key in keys])

    return dataclasses.replace(match, candidate=candidate, original=original, figures=True)

  def _take_back(self, recording: Recording, phase: str, section: str) -> dict[str, np.ndarray]:
    """A whole section of the candidate, as the original names it."""
    return self._correspondence.back(section, recording.section(phase, section))

  def _convert(self, recording: Recording, phase: str, section: str) -> dict[str, np.ndarray]:
    """A whole section of the original, as the candidate names it; absent parts of it are zero."""
    arrays = {
      name: recording.read(key)
      for name in recording.names(phase, section)
      if recording.form(key := Key(phase, section, name)) == Tier.FULL
    }
    if section == "gradient":
      for key in recording.absent:
        if key[:2] == (phase, section) and arrays:
          arrays[key.name] = self._zeros(key.name, next(iter(arrays.values())).dtype)
    return self._correspondence.section(section, arrays)

  def _zeros(self, parameter: str, dtype: np.dtype) -> np.ndarray:
    return np.zeros(self._correspondence.plan.sources[parameter], dtype)


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
