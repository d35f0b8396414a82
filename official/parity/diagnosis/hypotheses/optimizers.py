"""Optimizer steps: the candidate's recipe with one of its numbers replaced by the original's."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from official.parity.diagnosis.evidence import Arrays, OptimizerEvidence
from official.parity.diagnosis.hypotheses import recipes
from official.parity.diagnosis.hypotheses.recipes import Recipe, Step, same
from official.parity.diagnosis.hypotheses.solving import name
from official.parity.diagnosis.subject import Trial


def arrays(evidence: OptimizerEvidence, side: str) -> dict[str, np.ndarray]:
  """What is judged of a side: parameters, slots and averages that both have, and rates."""
  found: dict[str, np.ndarray] = {}
  parts = {
    "parameter": ("reference", "candidate"),
    "slot": ("reference_slots", "candidate_slots"),
    "average": ("reference_averages", "candidate_averages"),
  }
  for section, names in parts.items():
    both = [getattr(evidence, attribute) for attribute in names]
    own = both[side == "candidate"]
    keys = both[0].keys() & both[1].keys()
    if section == "average":  # Averages of statistics follow what no optimizer makes.
      keys &= evidence.reference.keys()
    found |= {f"{section}/{key}": np.asarray(own[key]) for key in own if key in keys}
  for label, rates in (("rate", evidence.rates), ("next rate", evidence.next_rates)):
    if rates:
      found[label] = np.asarray(rates[side == "candidate"])
  return found


def section(key: str) -> str:
  """Which arrays are measured on one scale: parameters, each slot, averages, rates."""
  return key.partition("/")[0] + key.rpartition("|")[2] * ("|" in key)


def hypotheses(evidence: OptimizerEvidence) -> Iterator[Trial]:
  """Single changes, in the order in which one hides another."""
  own_arrays = arrays(evidence, "candidate")
  yield from _rates(evidence, own_arrays)
  yield from _averages(evidence, own_arrays)
  ours, theirs = _step(evidence, 1), _step(evidence, 0)
  own, other = recipes.read(ours), recipes.read(theirs)
  if own is None or other is None or own.kind != other.kind:
    return
  kept = _kept(evidence, 1)
  rated = own_arrays | {k: a for k, a in arrays(evidence, "reference").items() if "rate" in k}
  for cause, sentence, changed in _changes(own, other, ours, theirs):
    rest = rated if changed.rate is other.rate else own_arrays
    made = functools.partial(_made, evidence, changed, ours, kept)
    yield Trial(cause, sentence, functools.partial(_with, rest, made))


def _with(rest: Arrays, made: Callable[[], Arrays]) -> dict[str, np.ndarray]:
  """`rest`, with those that are made otherwise."""
  new = made()
  return {key: new.get(key, array) for key, array in rest.items()}


def _made(
  evidence: OptimizerEvidence, recipe: Recipe, step: Step, kept: float | None
) -> dict[str, np.ndarray]:
  """What the recipe makes of the step, by the keys of `arrays`."""
  parameters, slots = recipes.apply(recipe, step)
  made = {f"parameter/{n}": a for n, a in parameters.items()}
  made |= {f"slot/{n}": a for n, a in slots.items()}
  return made if kept is None else made | dict(_averaged(evidence, kept, parameters))


def _step(evidence: OptimizerEvidence, side: int) -> Step:
  slots = (evidence.reference_slots, evidence.candidate_slots)[side]
  return Step(
    evidence.step,
    evidence.gradients,
    evidence.before,
    (evidence.reference, evidence.candidate)[side],
    _by_slot(evidence.slots_before),
    _by_slot(slots),
    evidence.rates[side] if evidence.rates else None,
  )


def _by_slot(slots: Arrays) -> dict[str, dict[str, np.ndarray]]:
  found: dict[str, dict[str, np.ndarray]] = {}
  for key, array in slots.items():
    parameter, _, slot = key.rpartition("|")
    found.setdefault(slot, {})[parameter] = np.asarray(array)
  return found


def _rates(evidence: OptimizerEvidence, own: Arrays) -> Iterator[Trial]:
  """Rates that differ although nothing else does, as of the step that follows."""
  known = {"rate": evidence.rates, "next rate": evidence.next_rates}
  differing = {label: pair for label, pair in known.items() if pair and pair[0] != pair[1]}
  if differing:
    sentence = "; ".join(
      f"{label}: {name(b)}, in the original {name(a)}" for label, (a, b) in differing.items()
    )
    mended = own | {label: np.asarray(pair[0]) for label, pair in differing.items()}
    yield Trial("learning_rate", sentence, lambda: mended)


def _averages(evidence: OptimizerEvidence, own: Arrays) -> Iterator[Trial]:
  """Averages that keep another share of themselves."""
  ours, theirs = _kept(evidence, 1), _kept(evidence, 0)
  if ours is not None and theirs is not None:
    mended = own | _averaged(evidence, theirs, evidence.candidate)
    sentence = f"averages keep {name(ours)} of themselves, in the original {name(theirs)}"
    yield Trial("average_decay", sentence, lambda: mended)


def _kept(evidence: OptimizerEvidence, side: int) -> float | None:
  """The share of themselves that a side's averages keep; None where it has none, or none moves."""
  after = (evidence.reference, evidence.candidate)[side]
  new = (evidence.reference_averages, evidence.candidate_averages)[side]
  top = below = 0.0
  for key in new.keys() & after.keys() & evidence.averages_before.keys():
    way = np.asarray(evidence.averages_before[key]) - after[key]
    top += float(np.vdot(way, new[key] - after[key]))
    below += float(np.vdot(way, way))
  return top / below if below else None


def _averaged(evidence: OptimizerEvidence, kept: float, parameters: Arrays) -> Arrays:
  """Averages after the step, of these parameters."""
  return {
    f"average/{key}": kept * np.asarray(old) + (1 - kept) * parameters[key]
    for key, old in evidence.averages_before.items()
    if key in parameters
  }


def _changes(
  own: Recipe, other: Recipe, ours: Step, theirs: Step
) -> Iterator[tuple[str, str, Recipe]]:
  """(cause, sentence, the candidate's recipe with that change)."""
  frozen = [n for n in own.rate if own.rate[n] == 0 and other.rate[n] != 0]
  frozen += [n for n in own.rate if own.rate[n] != 0 and other.rate[n] == 0]
  if frozen:
    sentence = f"{_list(frozen)}: trained on one side only"
    changed = dataclasses.replace(own, rate=other.rate, decoupled=other.decoupled)
    yield "parameter_frozen", sentence, changed
  if not same(own.clip, other.clip) or own.bound != other.bound:
    yield from _gradient_changes(own, other, ours, theirs)
  if own.momentum != other.momentum or own.beta2 != other.beta2 or own.nesterov != other.nesterov:
    yield "momentum", _momentum_sentence(own, other), _with_momentum(own, other)
  if not same(own.coupled, other.coupled) or not same(own.decoupled, other.decoupled):
    cause, sentence = _decay(own, other)
    changed = dataclasses.replace(own, coupled=other.coupled, decoupled=other.decoupled)
    yield cause, sentence, changed
  if own.epsilon != other.epsilon or own.form != other.form:
    sentence = (
      f"the candidate adds epsilon {name(own.epsilon)} {own.form}, "
      f"the original {name(other.epsilon)} {other.form}"
    )
    changed = dataclasses.replace(own, epsilon=other.epsilon, form=other.form)
    yield "optimizer_epsilon", sentence, changed
  if not same(own.rate, other.rate):
    yield from _rate_changes(own, other, ours)


def _gradient_changes(
  own: Recipe, other: Recipe, ours: Step, theirs: Step
) -> Iterator[tuple[str, str, Recipe]]:
  """Gradients that go into the moments by another factor, or cut off."""
  changed = dataclasses.replace(own, clip=other.clip, bound=other.bound)
  factor = recipes.ratio(own.clip, other.clip)
  if factor is not None and own.bound == other.bound:
    for side, share in ((ours, factor), (theirs, 1 / factor if factor else np.inf)):
      if side.rate is not None and abs(abs(share) - side.rate) <= 1e-6 * side.rate:
        sentence = "one side's momentum sums steps, the rate included, the other's gradients"
        yield "momentum", sentence, dataclasses.replace(changed, rate=other.rate)
    if _is_scale(own, other, factor):
      yield "gradient_scale", f"ours are {name(factor)} times the original's gradients", changed
  scopes = [recipes.clip_scope(r, s.gradients) for r, s in ((own, ours), (other, theirs))]
  sentence = f"the candidate clips gradients {scopes[0]}, the original {scopes[1]}"
  yield "clip_scope", sentence, changed


def _is_scale(own: Recipe, other: Recipe, factor: float) -> bool:
  """Whether a factor is no clip: that never enlarges, and its norm is no power of 2 of another."""
  enlarged = max(*own.clip.values(), *other.clip.values()) > 1 + 1e-6
  unclipped = any(abs(max(r.clip.values()) - 1) < 1e-6 for r in (own, other))
  power = factor > 0 and abs(np.log2(factor) - round(np.log2(factor))) < 1e-6
  return enlarged or (power and not unclipped)


def _with_momentum(own: Recipe, other: Recipe) -> Recipe:
  return dataclasses.replace(
    own, momentum=other.momentum, beta2=other.beta2, nesterov=other.nesterov
  )


def _momentum_sentence(own: Recipe, other: Recipe) -> str:
  words = [
    f"{name(r.momentum)}"
    + (f" and {name(r.beta2)}" if r.beta2 else "")
    + " (Nesterov)" * r.nesterov
    for r in (own, other)
  ]
  return f"the candidate's momentum is {words[0]}, the original's {words[1]}"


def _decay(own: Recipe, other: Recipe) -> tuple[str, str]:
  """What tells the two decays apart: how, on which parameters, by how much."""
  ours, theirs = ((_decayed(r.coupled), _decayed(r.decoupled)) for r in (own, other))
  if (ours[0] and theirs[1] and not theirs[0]) or (ours[1] and theirs[0] and not ours[0]):
    places = ["into the gradient" if side[0] else "to the weight" for side in (ours, theirs)]
    return "decay_coupling", f"decay goes {places[0]}, in the original {places[1]}"
  odd = sorted((ours[0] | ours[1]) ^ (theirs[0] | theirs[1]))
  if odd and any(ours) and any(theirs):
    return "decay_exclusion", f"only one side decays {_list(odd)}"
  amounts = [name(_largest({**r.coupled, "": _largest(r.decoupled)})) for r in (own, other)]
  return "decay_amount", f"decay is {amounts[0]} a step, in the original {amounts[1]}"


def _largest(decay: Mapping[str, float]) -> float:
  return max((abs(value) for value in decay.values()), default=0.0)


def _decayed(decay: Mapping[str, float]) -> set[str]:
  largest = max((abs(value) for value in decay.values()), default=0.0)
  return {n for n, value in decay.items() if largest and abs(value) > 1e-6 * largest}


def _rate_changes(own: Recipe, other: Recipe, step: Step) -> Iterator[tuple[str, str, Recipe]]:
  ratios = {n: other.rate[n] / own.rate[n] for n in own.rate if own.rate[n]}
  changed = dataclasses.replace(own, rate=other.rate)
  scaled = {n: decay * ratios.get(n, 1.0) for n, decay in own.decoupled.items()}
  if same(scaled, other.decoupled):
    changed = dataclasses.replace(changed, decoupled=other.decoupled)
  odd = [n for n, ratio in ratios.items() if abs(ratio - 1) > 1e-6]
  first = ratios[odd[0]] if odd else 1.0
  if any(abs(first / c - 1) < 1e-6 for c in _corrections(own, step.count + 1)):
    sentence = "one side corrects the bias of its moments, the other does not"
    form = {"epsilon": other.epsilon, "form": other.form}
    yield "bias_correction", sentence, dataclasses.replace(own, rate=other.rate, **form)
  where = "everywhere" if np.ptp(list(ratios.values())) < 1e-6 else f"on {_list(odd)}"
  yield "learning_rate", f"the original's rate is {name(first)} times ours {where}", changed


def _corrections(recipe: Recipe, count: int) -> list[float]:
  """Factors that leaving out one or both corrections makes of the rate."""
  if not recipe.beta2:
    return []
  one, two = 1 - recipe.momentum**count, np.sqrt(1 - recipe.beta2**count)
  return [c for f in (one, two, two / one) for c in (f, 1 / f) if abs(c - 1) > 1e-9]


def _list(names: list[str]) -> str:
  return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
