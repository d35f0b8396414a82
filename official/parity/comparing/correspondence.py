"""How arrays of the original become arrays that the candidate's can be held against."""

import functools
from collections.abc import Mapping

import numpy as np

from official.checkpoints.transfer import Plan
from official.parity.case import Arrays, ParityCase
from official.parity.comparing import layouts
from official.parity.comparing.pairing import Pair, Pairing, pair_taps
from official.parity.recording.reader import Recording

PASSES = ("eval", "train")


class Correspondence:
  """The case's rules, applied to the names of two recordings.

  Attributes:
    plan: of parameters and buffers.
    pairings: of taps, by phase.

  Args:
    case: whose rules count.
    plan: made of the case's weights.
    original: a recording of the original.
    candidate: a recording of the candidate.
  """

  def __init__(
    self, case: ParityCase, plan: Plan, original: Recording, candidate: Recording
  ) -> None:
    self.plan = plan
    self.pairings: dict[str, Pairing] = {
      phase: pair_taps(
        case.taps,
        [tap.name for tap in original.taps(phase)],
        [tap.name for tap in candidate.taps(phase)],
      )
      for phase in PASSES
      if original.taps(phase) and candidate.taps(phase)
    }
    self._case = case

  @functools.cached_property
  def by_candidate(self) -> dict[str, dict[str, Pair]]:
    """Phase → candidate's tap → its pair."""
    return {
      phase: {pair.candidate: pair for pair in pairing.pairs}
      for phase, pairing in self.pairings.items()
    }

  def tap(self, array: np.ndarray, pair: Pair, shape: tuple[int, ...]) -> np.ndarray:
    """An array of the original's tap in the layout of the candidate's, which has `shape`.

    Raises:
      LayoutError: it does not have the axes that the rule says.
    """
    return layouts.convert(array, self.layout(pair, array), shape)

  def layout(self, pair: Pair, array: np.ndarray) -> str:
    """The layout of a tap with `array`."""
    return pair.layout or self.rank_layout(array.ndim)

  def rank_layout(self, rank: int) -> str:
    """The layout of arrays of that rank that no rule gives one; empty: none."""
    return self._case.layouts.get(rank, "")

  def input_layout(self, name: str, rank: int) -> str:
    """The layout of an input, or of what preprocessing makes under its name."""
    return input_layout(self._case, name, rank)

  def by_rank(self, array: np.ndarray) -> np.ndarray:
    """An array of the original's that has no pair, as the candidate would lay it out."""
    return layouts.convert(array, self.rank_layout(array.ndim), ())

  def state(self, state: Mapping[tuple[str, str], np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """A trainer's state, the original's → the candidate's."""
    made: dict[tuple[str, str], np.ndarray] = {}
    for section in dict.fromkeys(section for section, _ in state):
      arrays = {name: array for (own, name), array in state.items() if own == section}
      made |= {(section, name): array for name, array in self.section(section, arrays).items()}
    return made

  def section(self, section: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """All arrays of a section whose names are parameters', as the candidate names them.

    Arrays that are no parameters' (the learning rate) stay as they are.
    """
    if section == "slot":
      return self._slots(arrays)
    known = {name: array for name, array in arrays.items() if name in self.plan.sources}
    others = {name: array for name, array in arrays.items() if name not in known}
    return self.plan.forward(known, partial=True) | others

  def back(self, section: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """The inverse of `section`, of what is shaped as parameters."""
    if section != "slot":
      return self.plan.backward(arrays, partial=True)
    kinds: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
      variable, _, kind = name.rpartition("|")
      if array.shape == self.plan.targets.get(variable):
        kinds.setdefault(kind, {})[variable] = array
    own = {ours: theirs for theirs, ours in self._case.slots.items()}
    return {
      f"{source}|{own.get(kind, kind)}": array
      for kind, group in kinds.items()
      for source, array in self.plan.backward(group, partial=True).items()
    }

  def slot_name(self, name: str) -> str:
    """The candidate's name of the original's slot."""
    return self._case.slots.get(name, name)

  def _slots(self, arrays: Arrays) -> dict[str, np.ndarray]:
    """Slots, each kind by itself; those that are not shaped as parameters keep their name."""
    kinds: dict[str, dict[str, np.ndarray]] = {}
    made: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
      parameter, _, kind = name.rpartition("|")
      if array.shape == self.plan.sources.get(parameter):
        kinds.setdefault(kind, {})[parameter] = array
      else:
        made[f"{parameter}|{self.slot_name(kind)}" if parameter else self.slot_name(kind)] = array
    for kind, group in kinds.items():
      for target, array in self.plan.forward(group, partial=True).items():
        made[f"{target}|{self.slot_name(kind)}"] = array
    return made


def to_candidate(case: ParityCase, name: str, array: np.ndarray) -> np.ndarray:
  """An input or image of the original, in the candidate's layout."""
  return layouts.convert(array, input_layout(case, name, array.ndim), ())


def input_layout(case: ParityCase, name: str, rank: int) -> str:
  """The layout that `case` gives an input of that name and rank."""
  return case.batch_layouts.get(name, "") or case.layouts.get(rank, "")
