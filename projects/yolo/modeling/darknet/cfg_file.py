"""Darknet's `.cfg` files as sections with typed options; every complaint names file, line, section.

The format: `[kind]` starts a section, `name=value` sets an option of it (where it is set twice, the
first counts, as in Darknet), `#` and `;` start a comment, blanks count nowhere.
"""

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from official.cli.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Option:
  """The right-hand side of one line."""

  text: str
  line: int


@dataclasses.dataclass(frozen=True)
class Section:
  """One section, which is one layer but for the first, `[net]`.

  Attributes:
    kind: what stands in the brackets.
    file: path of the file.
    line: where the section starts, from 1.
    options: by name.
  """

  kind: str
  file: str
  line: int
  options: dict[str, Option] = dataclasses.field(default_factory=dict)

  def integer(self, name: str, default: int | None = None) -> int:
    """A whole number; without a default the option must be there."""
    return self._read(name, int, "a whole number", default)

  def count(self, name: str, default: int | None = None) -> int:
    """A whole number above zero; without a default the option must be there."""
    return self._read(name, _count, "a whole number above 0", default)

  def number(self, name: str, default: float | None = None) -> float:
    """A number; without a default the option must be there."""
    return self._read(name, float, "a number", default)

  def numbers(self, name: str) -> list[float]:
    """Numbers with commas between them; the option must be there."""
    return self._read(name, _list_of(float), "numbers with commas between", None)

  def integers(self, name: str) -> list[int]:
    """Whole numbers with commas between them; the option must be there."""
    return self._read(name, _list_of(int), "whole numbers with commas between", None)

  def word(self, name: str, default: str, choices: Collection[str]) -> str:
    """One of `choices`."""
    word = self.options[name].text if name in self.options else default
    if word not in choices:
      known = ", ".join(sorted(choices))
      raise self.error(f"{name}={word}{nearest(word, choices)}: known are {known}", name)
    return word

  def error(self, message: str, option: str = "") -> UserError:
    """A complaint about this section, at the line of `option` where that is set."""
    line = self.options[option].line if option in self.options else self.line
    return UserError(f"{self.file}, line {line}, [{self.kind}]: {message}")

  def _read(self, name: str, parse: Callable[[str], Any], wanted: str, default: Any) -> Any:
    if name not in self.options:
      if default is None:
        raise self.error(f"no {name}= here, which must be {wanted}")
      return default
    try:
      return parse(self.options[name].text)
    except ValueError as error:
      text = self.options[name].text
      raise self.error(f"{name}={text}: must be {wanted}", name) from error


def read_cfg(path: str | Path) -> list[Section]:
  """The sections of a `.cfg` file, `[net]` first.

  Raises:
    UserError: the file cannot be read, a line is neither a section nor an option, an option stands
      before any section, or the first section is not `[net]`.
  """
  try:
    text = Path(path).read_text()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f"{path}: cannot be read as a .cfg file: {error}") from error
  sections: list[Section] = []
  for number, raw in enumerate(text.splitlines(), 1):
    line = "".join(raw.partition("#")[0].partition(";")[0].split())
    if line.startswith("["):
      sections.append(_open(line, str(path), number))
    elif line:
      _set_option(line, sections, str(path), number)
  if not sections or sections[0].kind not in ("net", "network"):
    raise UserError(f"{path}: not a Darknet .cfg file: its first section must be [net]")
  return sections


def _open(line: str, path: str, number: int) -> Section:
  if not line.endswith("]") or len(line) < 3:
    raise UserError(f"{path}, line {number}: '{line}' is no section: write [kind]")
  return Section(line[1:-1], path, number)


def _set_option(line: str, sections: list[Section], path: str, number: int) -> None:
  name, equals, value = line.partition("=")
  if not (name and equals and value):
    raise UserError(f"{path}, line {number}: '{line}' is no option: write name=value")
  if not sections:
    raise UserError(f"{path}, line {number}: {name}= stands before the first section")
  sections[-1].options.setdefault(name, Option(value, number))


def _count(text: str) -> int:
  if int(text) < 1:
    raise ValueError(text)
  return int(text)


def _list_of(kind: type) -> Callable[[str], list[Any]]:
  return lambda text: [kind(part) for part in text.strip(",").split(",")]
