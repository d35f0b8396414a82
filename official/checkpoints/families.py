"""Rules for single parameters, drawn together: one pattern for what differs only in numbers."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from official.checkpoints import patterns
from official.checkpoints.rules import Rule
from official.cli.errors import UserError

_NUMBER = re.compile(r"((?<![0-9])(?:0|[1-9][0-9]*)(?![0-9]))")
_NAMES = "ijklmnopqrstuvw"


@dataclasses.dataclass(frozen=True)
class Family:
  """A rule, and the sources that it is for."""

  rule: Rule
  sources: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Member:
  """Two names, cut into text and numbers in turn."""

  source: tuple[str, ...]
  target: tuple[str, ...]


def families(rules: Sequence[Rule], sources: Sequence[str]) -> list[Family]:
  """Fewer rules that do the same, in the order of the first parameter of each.

  Args:
    rules: for one parameter each.
    sources: all names of the original, so that no pattern takes in one that it must not.
  """
  groups: dict[tuple, list[_Member]] = {}
  for rule in rules:
    member = _Member(*(tuple(_NUMBER.split(name)) for name in (rule.source, rule.target)))
    kind = (member.source[::2], member.target[::2], rule.transform)
    groups.setdefault(kind, []).append(member)
  found = [
    family
    for (*_, transform), members in groups.items()
    for family in _draw_together(members, transform, sources)
  ]
  position = {name: index for index, name in enumerate(sources)}
  return sorted(found, key=lambda family: position[family.sources[0]])


def _draw_together(
  members: Sequence[_Member], transform: str, sources: Sequence[str]
) -> Iterator[Family]:
  """One family of `members`, or several where one pattern cannot say it."""
  fields = _fields(members)
  if fields is not None:
    first = members[0]
    rule = Rule(_pattern(first.source, fields[0]), _pattern(first.target, fields[1]), transform)
    wanted = {"".join(member.source): "".join(member.target) for member in members}
    if _made(rule, sources) == wanted:
      yield Family(rule, tuple(wanted))
      return
  for part in _parted(members):
    yield from _draw_together(part, transform, sources)


def _fields(members: Sequence[_Member]) -> tuple[dict[int, str], dict[int, str]] | None:
  """The fields for the numbers that vary, of both sides; None where the sides do not agree."""
  sources, targets = (_varying([getattr(m, end) for m in members]) for end in ("source", "target"))
  known: dict[tuple[int, ...], tuple[str, int]] = {}
  for steps, first in sources.values():
    known.setdefault(steps, (_NAMES[len(known)], first))
  if set(known) != {steps for steps, _ in targets.values()}:
    return None
  return tuple(
    {slot: _field(*known[steps], first) for slot, (steps, first) in side.items()}
    for side in (sources, targets)
  )


def _field(name: str, base: int, first: int) -> str:
  """The field that is `first` where field `name` is `base`."""
  return f"{{{name}{first - base:+d}}}" if first != base else f"{{{name}}}"


def _varying(names: Sequence[tuple[str, ...]]) -> dict[int, tuple[tuple[int, ...], int]]:
  """Slots of numbers that are not the same in all `names`.

  Returns:
    slot → (how far the number in each name is from that in the first, that in the first).
  """
  columns = {slot: [int(name[slot]) for name in names] for slot in range(1, len(names[0]), 2)}
  return {
    slot: (tuple(value - values[0] for value in values), values[0])
    for slot, values in columns.items()
    if len(set(values)) > 1
  }


def _pattern(parts: Sequence[str], fields: Mapping[int, str]) -> str:
  return "".join(fields.get(slot, part) for slot, part in enumerate(parts))


def _made(rule: Rule, sources: Sequence[str]) -> dict[str, str]:
  """What `rule` makes of all `sources`; what it matches and cannot fill becomes the empty name."""
  matched = {name: patterns.match(rule.source, name) for name in sources}
  return {
    name: _filled(rule.target, fields) for name, fields in matched.items() if fields is not None
  }


def _filled(pattern: str, fields: Mapping[str, str]) -> str:
  try:
    return patterns.fill(pattern, fields)
  except UserError:  # A number below zero, or none.
    return ""


def _parted(members: Sequence[_Member]) -> Iterator[list[_Member]]:
  """`members` by one of the numbers that vary, preferably one that only one side has."""
  sources, targets = (_varying([getattr(m, end) for m in members]) for end in ("source", "target"))
  shared = {steps for steps, _ in sources.values()} & {steps for steps, _ in targets.values()}
  choices = [("source", *item) for item in sources.items()]
  choices += [("target", *item) for item in targets.items()]
  end, slot, _ = min(choices, key=lambda choice: (choice[2][0] in shared, len(set(choice[2][0]))))
  parts: dict[str, list[_Member]] = {}
  for member in members:
    parts.setdefault(getattr(member, end)[slot], []).append(member)
  yield from parts.values()
