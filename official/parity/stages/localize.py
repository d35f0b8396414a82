"""Which layer is to blame, by what differs although it was given the original's values.

In a forced pass every paired tap first computes from the original's values, and then hands the
original's on. Children finish before their parents: a tap that differs names the innermost layer,
or, where that layer was given something else than its counterpart, whoever gave it.
On the way back a gradient that differs where it arrives at a tap, although the gradients further
down were the original's, names what reads that tap.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from official.parity.comparing.matches import owner
from official.parity.keys import ROOT, TOTAL
from official.parity.recording.header import TapInfo
from official.parity.result import Blame, Finding
from official.parity.stages.judging import Judged


@dataclasses.dataclass(frozen=True)
class Graph:
  """The candidate's calls in one phase.

  Attributes:
    taps: in execution order.
    paired: names of those that have a pair.
  """

  taps: Sequence[TapInfo]
  paired: Collection[str]

  def region(self, tap: TapInfo) -> tuple[str, ...]:
    """Paths of unpaired layers that ran between the last paired tap and `tap`."""
    before = [t for t in self.taps if t.order < tap.order]
    paired = [t.order for t in before if t.name in self.paired]
    since = max(paired, default=-1)
    paths = (t.path for t in before if t.order > since and t.path != tap.path)
    return tuple(dict.fromkeys(paths))

  def culprit(self, tap: TapInfo, alike: Callable[[TapInfo], bool]) -> TapInfo:
    """Who is at fault that a tap differs: the tap's own call, where it was given the right values;
    else the layer without a pair that made them, or the innermost call around that was itself given
    the right ones.

    Args:
      tap: that differs.
      alike: whether the call of a tap was given what its counterpart was.
    """
    while not alike(tap):
      makers = [t for t in self.taps if t.name in tap.inputs and t.name not in self.paired]
      around = [t for t in self.taps if tap.parent and _call(t) == tap.parent]
      if makers or not around:
        return makers[-1] if makers else tap
      tap = around[0]
    return tap

  def readers(self, name: str) -> tuple[tuple[TapInfo, ...], tuple[TapInfo, ...]]:
    """What may have made the gradient that arrives at a tap.

    Returns:
      the innermost calls that were given the tap's tensor as it is; where there are none, the calls
      beside it that came later: they may have been given what was made of it. And the calls around
      them, innermost first, whose own operations may have done it: those that were given the tensor
      too, and the caller of all. Nothing at all means that the tensor went to the losses.
    """
    tap = next(tap for tap in self.taps if tap.name == name)
    given = {_call(other): other for other in self.taps if name in other.inputs}
    outer = {call for other in given.values() for call in self._ancestors(other)}
    inner = [other for call, other in given.items() if call not in outer]
    around = sorted((given[call] for call in outer & given.keys()), key=lambda t: t.order)
    caller = [other for other in self.taps if tap.parent and _call(other) == tap.parent][:1]
    if not inner and caller:
      later = {_call(t): t for t in self.taps if t.parent == tap.parent and t.order > tap.order}
      inner = list(later.values())
    return tuple(inner), (*around, *caller)

  def _ancestors(self, tap: TapInfo) -> set[str]:
    parents = {_call(t): t.parent for t in self.taps}
    found, call = set(), tap.parent
    while call and call not in found:
      found.add(call)
      call = parents.get(call, "")
    return found


def _call(tap: TapInfo) -> str:
  """Name of the call that put out `tap`, without the leaf."""
  return tap.name.removesuffix(f":{tap.leaf}") if tap.leaf else tap.name


def _owner(finding: Finding) -> str:
  """The layer whose variable a finding is about."""
  return owner(finding.name) or ROOT


def differs(judged: Judged) -> bool:
  """Whether an array differs by itself: on the original's values, where it was given them."""
  status = judged.finding.forced_status or judged.finding.status
  return not status.passes


def forward(
  judged: Iterable[Judged], graph: Graph, alike: Callable[[TapInfo], bool]
) -> list[Blame]:
  """Layers whose outputs differ on the original's inputs, in execution order.

  What runs after an output that has another shape than the original's was not given the original's
  values; nothing is said about it.

  Args:
    judged: outputs of one pass.
    graph: of the pass.
    alike: whether the call of a tap was given what its counterpart was.
  """
  taps = {tap.name: tap for tap in graph.taps}
  blames: dict[str, Blame] = {}
  for finding in sorted((j.finding for j in judged if differs(j)), key=lambda f: f.order):
    tap = graph.culprit(taps[finding.name], alike)
    blames.setdefault(tap.path, Blame(finding, tap.path or ROOT, graph.region(tap)))
    if finding.forced_error == np.inf or finding.forced_status is None:
      break
  return list(blames.values())


def statistics(judged: Iterable[Judged], blamed: Collection[str]) -> list[Blame]:
  """Layers whose statistics move otherwise, of those whose outputs do not."""
  found = {_owner(j.finding): j.finding for j in reversed([*judged]) if differs(j)}
  return [Blame(f, layer) for layer, f in reversed(found.items()) if layer not in blamed]


def losses(judged: Iterable[Judged]) -> list[Blame]:
  """Terms that differ on the original's outputs; the total where no term does."""
  findings = [j.finding for j in judged if differs(j)]
  terms = [finding for finding in findings if finding.name != TOTAL]
  return [Blame(finding, finding.name) for finding in terms or findings]


def term_gradients(judged: Iterable[Judged], blamed: Collection[str]) -> list[Blame]:
  """Terms whose value is the original's and whose gradient is not."""
  found: dict[str, Blame] = {}
  for finding in (j.finding for j in judged if differs(j)):
    term = finding.name.partition("|")[0]
    if term not in blamed:
      found.setdefault(term, Blame(finding, term))
  return list(found.values())


def backward(
  upstream: Iterable[Judged],
  gradients: Iterable[Judged],
  graph: Graph,
  blamed: Collection[str],
  silent: Collection[str],
  is_derivative: Callable[[TapInfo], bool],
) -> list[Blame]:
  """Layers that hand back another gradient than the original's.

  Args:
    upstream: gradients that arrive at taps.
    gradients: gradients of parameters.
    graph: of the training pass.
    blamed: layers whose outputs differ already, and "total" where a loss does: gradients must.
    silent: taps at which the candidate has no gradient and the original has: the layers that put
      them out can hand nothing back.
    is_derivative: whether what a call hands back is the derivative of what it put out.
  """
  found: dict[str, Blame] = {}
  wrong = sorted((j.finding for j in upstream if differs(j)), key=lambda f: -f.order)
  for finding in wrong:
    inner, around = graph.readers(finding.name)
    layers = [tap.path or ROOT for tap in (*inner, *around)] or [TOTAL]
    if any(layer in blamed or layer in found for layer in layers):
      continue
    if any(tap.name in silent for tap in inner):
      continue
    layer, region = _reader(inner, around, is_derivative)
    found[layer] = Blame(finding, layer, region)
  explained = {*blamed, *(tap.path or ROOT for tap in graph.taps if tap.name in silent)}
  explained |= {layer for blame in found.values() for layer in (blame.layer, *blame.region)}
  for finding in (j.finding for j in gradients if differs(j)):
    layer = _owner(finding)
    if layer not in explained and layer not in found:
      found[layer] = Blame(finding, layer)
  return list(found.values())


def _reader(
  inner: Sequence[TapInfo], around: Sequence[TapInfo], is_derivative: Callable[[TapInfo], bool]
) -> tuple[str, tuple[str, ...]]:
  """Which of a tensor's readers hands back a wrong gradient, and which others may.

  One whose gradient is not that of its outputs. Where there is none, the original has such a one
  and the candidate does not: the only reader, or else the operations around the readers.
  """
  taps = (*inner, *around)
  if not taps:
    return TOTAL, ()
  if len(taps) > 1:
    for tap in taps:
      if not is_derivative(tap):
        return tap.path or ROOT, ()
  chosen = (inner if len(inner) == 1 else around or inner)[0]
  others = dict.fromkeys(tap.path or ROOT for tap in taps if tap.path != chosen.path)
  return chosen.path or ROOT, tuple(others)


def optimizer(judged: Sequence[Judged]) -> list[Blame]:
  """One blame for what a training step does otherwise from the original's state.

  It names the learning rate where that differs, the one variable that does, or the optimizer;
  averages only where the variables themselves agree.
  """
  wrong: dict[str, list[Finding]] = {}
  for finding in (j.finding for j in judged if differs(j)):
    wrong.setdefault(finding.section, []).append(finding)
  if rates := wrong.get("rate"):
    return [Blame(rates[0], rates[0].name)]
  if found := wrong.get("parameter") or wrong.get("slot"):
    names = tuple(dict.fromkeys(finding.name.partition("|")[0] for finding in found))
    everything = sum(j.finding.section == found[0].section for j in judged)
    if len(names) == 1 and everything > 1:
      return [Blame(found[0], names[0])]
    return [Blame(found[0], "optimizer", names if len(names) < everything else ())]
  if found := wrong.get("average"):
    return [Blame(found[0], "average")]
  if found := wrong.get("buffer"):
    return [Blame(found[0], _owner(found[0]))]
  return [Blame(found[0], found[0].name) for found in [wrong.get("loss")] if found]
