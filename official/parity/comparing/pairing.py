"""Which array of the original is which of the candidate: by the case's rules, by names alone."""

import dataclasses
from collections.abc import Iterable, Sequence

from official.checkpoints import patterns
from official.cli.errors import nearest
from official.parity.case import TapRule


@dataclasses.dataclass(frozen=True)
class Pair:
  """Two taps that must agree.

  Attributes:
    reference: the original's name.
    candidate: the candidate's name.
    layout: the rule's; empty: by rank.
  """

  reference: str
  candidate: str
  layout: str = ""


@dataclasses.dataclass(frozen=True)
class Pairing:
  """What the rules make of two lists of taps.

  Attributes:
    pairs: in the order of the candidate's taps.
    reference_only: the original's taps that have no pair, with the reason and a hint.
    candidate_only: the candidate's taps that have none.
    stale: rules that were the first to match no tap.
  """

  pairs: tuple[Pair, ...]
  reference_only: dict[str, str]
  candidate_only: dict[str, str]
  stale: tuple[TapRule, ...]


def pair_taps(
  rules: Sequence[TapRule], references: Iterable[str], candidates: Iterable[str]
) -> Pairing:
  """Pairs taps by name; the first rule that matches a name counts.

  A rule for a module also pairs its further calls and outputs ("conv#1", "conv:2"), where no rule
  matches their whole name, under the same suffix.

  Args:
    rules: the case's.
    references: names of the original's taps.
    candidates: names of the candidate's, in execution order.
  """
  candidates = list(candidates)
  places = {name: place for place, name in enumerate(candidates)}
  pairs: dict[str, Pair] = {}
  used: set[TapRule] = set()
  alone: dict[str, str] = {}
  for name in references:
    rule, target = _target(rules, name)
    if rule is None:
      alone[name] = f"no rule matches it{nearest(name, candidates)}"
      continue
    used.add(rule)
    if target not in places:
      alone[name] = f"its rule says '{target}', which is no tap{nearest(target, candidates)}"
    elif target in pairs:
      alone[name] = f"'{target}' is the pair of '{pairs[target].reference}' already"
    else:
      pairs[target] = Pair(name, target, rule.layout)
  return Pairing(
    pairs=tuple(sorted(pairs.values(), key=lambda pair: places[pair.candidate])),
    reference_only=alone,
    candidate_only={
      name: f"no rule leads to it{nearest(name, alone)}" for name in candidates if name not in pairs
    },
    stale=tuple(rule for rule in rules if rule not in used),
  )


def _target(rules: Sequence[TapRule], name: str) -> tuple[TapRule | None, str]:
  """The rule for the tap `name`, and the candidate's name by it."""
  module, suffix = split(name)
  for part, rest in ((name, ""), (module, suffix)):
    for rule in rules:
      fields = patterns.match(rule.reference, part)
      if fields is not None:
        return rule, patterns.fill(rule.candidate, fields) + rest
  return None, ""


def split(name: str) -> tuple[str, str]:
  """A tap's name → (path of its module, what `keys.tap_name` put behind it)."""
  ends = [end for end in (name.find("#"), name.find(":")) if end > 0]
  return (name[: min(ends)], name[min(ends) :]) if ends else (name, "")
