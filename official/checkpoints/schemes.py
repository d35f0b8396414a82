"""How files of an original name a network's parameters: reading them, and writing such files.

A scheme is rules and what surrounds them: other names of the same parameters, variables that the
files lack, arrays that they hold besides. Both ways are strict, see `transfer`.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from official.checkpoints import inverse, patterns, transfer
from official.checkpoints.arrays import Arrays, Checkpoint
from official.checkpoints.axes import Shape
from official.checkpoints.formats import open_checkpoint
from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.transfer import Plan
from official.checkpoints.writers import WRITERS, Writer
from official.cli.errors import UserError

Shapes = Mapping[str, Shape]


@dataclasses.dataclass(frozen=True)
class Scheme:
  """Names of one kind of files.

  Attributes:
    name: of the scheme, a word.
    rules: from its names to variables; of what its files may hold besides, why it goes nowhere.
    parts: of the network that such files hold, first words of variables' paths; empty: all.
    container: under which its files may keep everything ("model").
    aliases: other names of the same parameters, in files: pattern → the name in `rules`. They are
      read as well, and they are what is written.
    initial: variables that its files lack and that stay as they are: pattern → reason.
    extras: of shapes by the rules' names, what its files hold besides; None: nothing.
  """

  name: str
  rules: tuple[Rule | Ignore, ...]
  parts: tuple[str, ...] = ()
  container: str = ""
  aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
  initial: Mapping[str, str] = dataclasses.field(default_factory=dict)
  extras: Callable[[Shapes], Mapping[str, np.ndarray]] | None = None


@dataclasses.dataclass(frozen=True)
class ForeignFiles:
  """The files of originals that a network can be filled from.

  Attributes:
    schemes: of which a file has one.
    identify: (names, shapes) of a file → a clause that says what it is; empty: not known.
    open: opens a file.
    writers: of files, by the end of their names.
  """

  schemes: Sequence[Scheme]
  identify: Callable[[Shapes], str] = lambda shapes: ""
  open: Callable[[Path], Checkpoint] = open_checkpoint
  writers: Mapping[str, Writer] = dataclasses.field(default_factory=lambda: WRITERS)

  def scheme(self, name: str) -> Scheme:
    """The scheme `name` for writing; raises `UserError` where there is none for whole networks."""
    whole = {scheme.name: scheme for scheme in self.schemes if not scheme.parts}
    if name not in whole:
      known = ", ".join(whole) or "none"
      raise UserError(f"this network has no names '{name}' to be written with (known: {known})")
    return whole[name]

  def writer(self, path: Path) -> Writer:
    """What writes `path`; raises `UserError` where its end says nothing."""
    if path.suffix not in self.writers:
      raise UserError(f"cannot write {path}: let its name end in {' or '.join(self.writers)}")
    return self.writers[path.suffix]


def recognize(files: ForeignFiles, checkpoint: Checkpoint) -> tuple[Scheme, Arrays]:
  """The scheme that fits most names of `checkpoint`, and its arrays by the rules' names.

  Raises:
    UserError: there is none, or two names mean the same parameter.
  """
  candidates = [
    (scheme, _renamed(scheme, arrays, checkpoint.path))
    for scheme in files.schemes
    for arrays in _contents(scheme, checkpoint)
  ]
  scheme, arrays = max(candidates, key=lambda each: _fitting(*each))
  if not _fitting(scheme, arrays):
    known = ", ".join(each.name for each in files.schemes)
    shapes = ({name: array.shape for name, array in each.items()} for _, each in candidates)
    found = next((f"; it is {clause}" for clause in map(files.identify, shapes) if clause), "")
    raise UserError(f"{checkpoint.path} has none of this network's names ({known}){found}")
  return scheme, arrays


def plan_import(scheme: Scheme, sources: Shapes, targets: Shapes, parts: Sequence[str]) -> Plan:
  """How a file's arrays fill variables.

  Args:
    scheme: of the file.
    sources: shapes of its arrays.
    targets: shapes of the network's variables.
    parts: of the network that are filled, first words of variables' paths; empty: all.

  Raises:
    TransferError: they do not correspond exactly, within `parts`.
  """
  wanted = {
    name: shape
    for name, shape in targets.items()
    if (not parts or _part(name) in parts) and not _matches(scheme.initial, name)
  }
  given = _of_parts(scheme.rules, sources, parts) if parts else list(sources)
  return transfer.plan(scheme.rules, {name: sources[name] for name in given}, wanted)


def exported(scheme: Scheme, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The arrays of a file that holds the variables `values`, by the names in files.

  Raises:
    TransferError: the scheme has no names for some of them.
  """
  targets = {name: value.shape for name, value in values.items()}
  sources = inverse.parameters(scheme.rules, targets)
  arrays = dict(transfer.plan(scheme.rules, sources, targets).backward(values))
  if scheme.extras:
    arrays |= scheme.extras(sources)
  to_file = {own: alias for alias, own in scheme.aliases.items()}
  return {_translated(name, to_file): array for name, array in arrays.items()}


def _contents(scheme: Scheme, checkpoint: Checkpoint) -> list[Arrays]:
  """What may be the parameters: all that the file holds, or what is in the scheme's container."""
  start = f"{scheme.container}."
  inside = scheme.container and any(name.startswith(start) for name in checkpoint.arrays)
  return [checkpoint.arrays, *([checkpoint.below(scheme.container)] if inside else [])]


def _renamed(scheme: Scheme, arrays: Arrays, path: Path) -> Arrays:
  renamed, origins = {}, {}
  for name, array in arrays.items():
    own = _translated(name, scheme.aliases)
    if own in renamed:
      raise UserError(f"{path} has '{origins[own]}' and '{name}', which are one parameter")
    renamed[own], origins[own] = array, name
  return renamed


def _translated(name: str, table: Mapping[str, str]) -> str:
  for old, new in table.items():
    fields = patterns.match(old, name)
    if fields is not None:
      return patterns.fill(new, fields)
  return name


def _fitting(scheme: Scheme, arrays: Arrays) -> int:
  sources = [rule.source for rule in scheme.rules if isinstance(rule, Rule)]
  return sum(_matches(sources, name) for name in arrays)


def _of_parts(rules: Sequence[Rule | Ignore], sources: Shapes, parts: Sequence[str]) -> list[str]:
  """Names that lead into `parts`; and unknown ones beside these, which would be left unused."""
  targets = {name: _targets(rules, name) for name in sources}
  inside = [name for name, led in targets.items() if any(_part(each) in parts for each in led)]
  beside = _common_start(inside)
  return [
    name for name, led in targets.items() if name in inside or (not led and name.startswith(beside))
  ]


def _common_start(names: Sequence[str]) -> str:
  """The module that all `names` are in, with a dot behind it; empty: there is none."""
  levels = zip(*(name.split(".")[:-1] for name in names), strict=False)
  same = itertools.takewhile(lambda words: len(set(words)) == 1, levels)
  return "".join(f"{words[0]}." for words in same)


def _targets(rules: Sequence[Rule | Ignore], source: str) -> list[str]:
  found = []
  for rule in rules:
    fields = None if isinstance(rule, Ignore) else patterns.match(rule.source, source)
    if fields is not None:
      found.append(patterns.fill(rule.target, fields))
  return found


def _part(variable: str) -> str:
  return variable.partition("/")[0]


def _matches(table: Mapping[str, str] | Sequence[str], name: str) -> bool:
  return any(patterns.match(pattern, name) is not None for pattern in table)
