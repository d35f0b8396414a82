"""A first draft of the rules, from names, shapes and order; a person reads and accepts it.

What is proposed is a guess, and says how sure it is. Nothing is transferred by it: rules are used
only once they stand in the source, where `transfer.plan` holds them to every shape.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence

from official.checkpoints import families, matching, units
from official.checkpoints.matching import Pair
from official.checkpoints.naming import last_word
from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.units import Parameter

# Buffers that candidates rightly lack.
_BOOKKEEPING = {
  "num_batches_tracked": "counts steps; a fixed momentum does not use it",
  "relative_position_index": "a constant, computed from the window's size",
  "position_ids": "a constant, 0 to the number of positions",
}
_WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Proposed:
  """One rule of a draft.

  Attributes:
    rule: the rule.
    sources: the parameters that it is for.
    confidence: 0 to 1, that of the least certain of them.
    why: what speaks for it, and against.
  """

  rule: Rule | Ignore
  sources: tuple[str, ...]
  confidence: float
  why: str


@dataclasses.dataclass(frozen=True)
class Proposal:
  """A draft.

  Attributes:
    rules: in the order of the original's parameters.
    unused: parameters for which there is no rule.
    unfilled: variables that no rule fills.
    parameters: how many parameters there are.
    variables: how many variables there are.
  """

  rules: tuple[Proposed, ...]
  unused: tuple[str, ...]
  unfilled: tuple[str, ...]
  parameters: int
  variables: int

  @property
  def coverage(self) -> str:
    """How much of both sides the draft takes in, a sentence."""
    used, filled = self.parameters - len(self.unused), self.variables - len(self.unfilled)
    return (
      f"{used} of {self.parameters} parameters and {filled} of {self.variables} variables, "
      f"by {len(self.rules)} rules"
    )


def propose(sources: Mapping[str, Parameter], targets: Mapping[str, Parameter]) -> Proposal:
  """A draft of the rules from `sources` to `targets`.

  Args:
    sources: the original's parameters and buffers, in the order of its graph.
    targets: the candidate's variables, in the order of its graph.
  """
  left, right = units.collect(_kept(sources)), units.collect(targets)
  left, right = units.unstacked(left, right, 0), units.unstacked(right, left, -1)
  pairs = matching.match(left, right)
  proposed = [*_rules(pairs, list(sources)), *_ignored(sources)]
  used = {name for one in proposed for name in one.sources}
  filled = {pair.target.name for pair in pairs}
  order = {name: index for index, name in enumerate(sources)}
  return Proposal(
    tuple(sorted(proposed, key=lambda one: order[one.sources[0]])),
    tuple(name for name in sources if name not in used),
    tuple(name for name in targets if name not in filled),
    len(sources),
    len(targets),
  )


def format_rules(proposal: Proposal) -> str:
  """`proposal` as Python source, ready to paste into a project's `reference/weights.py`."""
  lines = [f"# Proposed: {proposal.coverage}. Read each before you trust it."]
  lines += ["WEIGHTS: tuple[Rule | Ignore, ...] = ("]
  for one in proposal.rules:
    count = f"{len(one.sources)} parameters" if len(one.sources) > 1 else "1 parameter"
    lines.append(f"  # {one.confidence:.2f}, {count}: {one.why}")
    lines += _call(one.rule)
  lines.append(")")
  lines += [f"# No rule: parameter {name}" for name in proposal.unused]
  lines += [f"# No rule: variable {name}" for name in proposal.unfilled]
  return "\n".join(lines) + "\n"


def _kept(sources: Mapping[str, Parameter]) -> dict[str, Parameter]:
  return {name: known for name, known in sources.items() if last_word(name) not in _BOOKKEEPING}


def _ignored(sources: Iterable[str]) -> list[Proposed]:
  found: dict[str, list[str]] = {}
  for name in sources:
    found.setdefault(last_word(name), []).append(name)
  return [
    Proposed(Ignore(_ending(found[word], word), reason), tuple(found[word]), 1.0, "bookkeeping")
    for word, reason in _BOOKKEEPING.items()
    if word in found
  ]


def _ending(names: Sequence[str], word: str) -> str:
  return word if list(names) == [word] else f"{{path*}}.{word}"


def _rules(pairs: Sequence[Pair], sources: Sequence[str]) -> list[Proposed]:
  single = {(pair.source.name, _transform(pair)): pair for pair in pairs}
  rules = [Rule(name, pair.target.name, text) for (name, text), pair in single.items()]
  found = []
  for family in families.families(rules, sources):
    members = [single[name, family.rule.transform] for name in family.sources]
    least = min(members, key=_confidence)
    rule = dataclasses.replace(family.rule, transform=_said(family.rule.transform, members))
    found.append(Proposed(rule, family.sources, _confidence(least), _why(least)))
  return found


def _transform(pair: Pair) -> str:
  steps = [pair.transforms[0]] if pair.transforms[0] != "identity" else []
  steps = [f"qkv:{pair.source.piece}", *steps] if pair.source.piece else steps
  return "|".join([*steps, f"merge:{pair.target.piece}"] if pair.target.piece else steps)


def _said(transform: str, members: Iterable[Pair]) -> str:
  """A copy is said to be one where a transposition would fit too."""
  ambiguous = any(_is_square(pair) for pair in members)
  return "identity" if not transform and ambiguous else transform


def _is_square(pair: Pair) -> bool:
  return len(pair.transforms) > 1


def _confidence(pair: Pair) -> float:
  """1 where nothing else fits, about 0.5 where another is as likely; names add a little."""
  if math.isinf(pair.lead):
    return 1.0
  doubt = 0.5 * math.exp(-4 * abs(pair.lead))
  return (0.9 + 0.1 * pair.likeness) * (1 - doubt if pair.lead > 0 else doubt)


def _why(pair: Pair) -> str:
  reasons = ["nothing else has its shape"] if math.isinf(pair.lead) else []
  if not reasons:
    reasons = ["names agree" if pair.likeness > 0.5 else "by order and what is around it"]
  if pair.lead < 0.05:
    reasons.append("ANOTHER PLACE IS AS LIKELY")
  if pair.source.piece or pair.target.piece:
    reasons.append("taken for stacked as query, key, value")
  if _is_square(pair):
    reasons.append(f"ITS SHAPE WOULD FIT BY '{pair.transforms[1]}' TOO")
  return "; ".join(reasons)


def _call(rule: Rule | Ignore) -> list[str]:
  arguments = [value for value in dataclasses.astuple(rule) if value]
  texts = [json.dumps(value, ensure_ascii=False) for value in arguments]
  name = type(rule).__name__
  line = f"  {name}({', '.join(texts)}),"
  if len(line) <= _WIDTH:
    return [line]
  return [f"  {name}(", *(f"    {text}," for text in texts), "  ),"]
