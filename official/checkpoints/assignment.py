"""Which parameter goes where, by the rules, and everything that is wrong about it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from official.checkpoints import advice, patterns, transforms
from official.checkpoints.axes import Misfit, Shape
from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.transforms import Fit, Transform
from official.cli.errors import UserError


@dataclasses.dataclass(frozen=True)
class Move:
  """A parameter, or a piece of it, on its way into a variable.

  Attributes:
    source: the original's parameter.
    target: the candidate's variable.
    transform: by which it goes.
    fit: that transform for their shapes.
  """

  source: str
  target: str
  transform: Transform
  fit: Fit


@dataclasses.dataclass
class Assignment:
  """What rules make of two lists of shapes.

  Attributes:
    moves: in the order of the sources.
    ignored: sources that go nowhere → why.
    problems: a line each.
  """

  moves: list[Move] = dataclasses.field(default_factory=list)
  ignored: dict[str, str] = dataclasses.field(default_factory=dict)
  problems: list[str] = dataclasses.field(default_factory=list)


def assign(
  rules: Sequence[Rule | Ignore], sources: Mapping[str, Shape], targets: Mapping[str, Shape]
) -> Assignment:
  """Applies `rules`; raises UserError where one is malformed, and lists what else is wrong."""
  _check(rules)
  assigner = _Assigner(rules, sources, targets)
  for source in sources:
    assigner.add(source)
  return assigner.finish()


def _check(rules: Iterable[Rule | Ignore]) -> None:
  """Raises UserError where a rule cannot be read."""
  for rule in rules:
    if isinstance(rule, Ignore):
      patterns.field_names(rule.pattern)
      continue
    transforms.parse(rule.transform)
    known = patterns.field_names(rule.source)
    for field in patterns.field_names(rule.target):
      if field not in known:
        raise UserError(f"rule for '{rule.source}': its target has another field, '{field}'")


class _Assigner:
  """Goes through the sources and collects."""

  def __init__(
    self,
    rules: Sequence[Rule | Ignore],
    sources: Mapping[str, Shape],
    targets: Mapping[str, Shape],
  ) -> None:
    self._rules, self._sources, self._targets = rules, sources, targets
    self._adviser = advice.Adviser(rules, sources, targets)
    self._found = Assignment()
    self._unused: list[str] = []
    self._told: set[str] = set()  # Names of which a problem has been told already.

  def add(self, source: str) -> None:
    """Sends `source` where the rules say."""
    matching, reasons = self._matching(source)
    problem = _ambiguity(source, matching, reasons)
    if problem:
      self._tell(problem, source, *(target for _, target in matching))
    elif reasons:
      self._found.ignored[source] = reasons[0]
    elif not matching:
      self._unused.append(source)
    else:
      for rule, target in matching:
        self._move(rule, source, target)

  def finish(self) -> Assignment:
    """What was found, with the problems that only the whole shows."""
    filled = self._told | {move.target for move in self._found.moves}
    unfilled = [target for target in self._targets if target not in filled]
    self._check_sources()
    self._check_targets()
    self._found.problems += self._adviser.unused(self._unused, unfilled)
    self._found.problems += self._adviser.unfilled(unfilled)
    return self._found

  def _tell(self, problem: str, *names: str) -> None:
    self._found.problems.append(problem)
    self._told.update(names)

  def _matching(self, source: str) -> tuple[list[tuple[Rule, str]], list[str]]:
    """The rules for `source`, each with the target that it names, and reasons to ignore it."""
    matching, reasons = [], []
    for rule in self._rules:
      pattern = rule.pattern if isinstance(rule, Ignore) else rule.source
      fields = patterns.match(pattern, source)
      if fields is None:
        continue
      if isinstance(rule, Ignore):
        reasons.append(rule.reason)
      else:
        matching.append((rule, patterns.fill(rule.target, fields)))
    return matching, reasons

  def _move(self, rule: Rule, source: str, target: str) -> None:
    """Adds the move that `rule` asks for, or its problem."""
    if target not in self._targets:
      self._tell(self._adviser.unknown(rule, source, target), source)
      return
    transform = transforms.parse(rule.transform)
    try:
      fit = transform.fit(self._sources[source], self._targets[target])
      self._found.moves.append(Move(source, target, transform, fit))
    except Misfit as misfit:
      self._tell(self._adviser.misfit(source, target, str(misfit)), source, target)

  def _check_sources(self) -> None:
    """Tells of sources of which a number goes nowhere or to two places."""
    for source, moves in _grouped(self._found.moves, "source"):
      if source in self._told:
        continue
      never, twice = _counts(self._sources[source], [move.fit.taken for move in moves])
      if never or twice:
        uses = ", ".join(f"'{move.transform.text}' → '{move.target}'" for move in moves)
        self._tell(f"pieces: of '{source}' {_wrong(never, twice, 'used')}, by {uses}", source)

  def _check_targets(self) -> None:
    """Tells of targets of which a number is filled never or twice."""
    for target, moves in _grouped(self._found.moves, "target"):
      if target in self._told:
        continue
      never, twice = _counts(self._targets[target], [move.fit.placed for move in moves])
      origins = " and ".join(f"'{move.source}'" for move in moves)
      if twice and not any(move.transform.merge for move in moves):
        self._tell(f"doubled: '{target}' is filled by {origins}", target)
      elif never or twice:
        self._tell(f"pieces: of '{target}' {_wrong(never, twice, 'filled')}, by {origins}", target)


def _ambiguity(source: str, matching: Sequence[tuple[Rule, str]], reasons: Sequence[str]) -> str:
  """What is wrong with several rules for one source; empty if nothing."""
  if reasons and matching:
    return f"ambiguous: '{source}' goes to '{matching[0][1]}' and is ignored: {reasons[0]}"
  if len(matching) < 2 or all(transforms.parse(rule.transform).splits for rule, _ in matching):
    return ""
  rules = " and ".join(f"'{rule.source}' → '{rule.target}'" for rule, _ in matching)
  return f"ambiguous: '{source}' matches {rules}: narrow them, or let each take a piece ('qkv:0/3')"


def _grouped(moves: Iterable[Move], end: str) -> Iterable[tuple[str, list[Move]]]:
  groups: dict[str, list[Move]] = {}
  for move in moves:
    groups.setdefault(getattr(move, end), []).append(move)
  return groups.items()


def _counts(shape: Shape, views: Sequence) -> tuple[int, int]:
  """How many numbers of an array are in none of the `views` of it, and in more than one."""
  count = np.zeros(shape, np.uint8)
  for view in views:
    view(count)[...] += 1
  return int(np.count_nonzero(count == 0)), int(np.count_nonzero(count > 1))


def _wrong(never: int, twice: int, used: str) -> str:
  parts = [f"{never:,} numbers are not {used}"] if never else []
  return " and ".join(parts + ([f"{twice:,} numbers are {used} twice"] if twice else []))
