"""Patterns of names: one line for a family of parameters, taps or keys.

A pattern is literal text with fields:

  "{i}"      one or more characters, without "." and "/": one part of a path
  "{path*}"  one or more characters of any kind

"layers.{i}.conv.weight" matches "layers.12.conv.weight" with i = "12". A field that occurs twice
takes the same text twice. Where several readings are possible, an earlier field takes as much as it
can.
"""

import functools
import re
from collections.abc import Mapping

from official.cli.errors import UserError

_FIELD = re.compile(r"\{([A-Za-z_]\w*)(\*?)\}")


def match(pattern: str, name: str) -> dict[str, str] | None:
  """The fields with which `pattern` becomes `name`, or None where it cannot.

  Raises:
    UserError: a field of `pattern` is malformed.
  """
  found = _compiled(pattern).fullmatch(name)
  return None if found is None else found.groupdict()


def fill(pattern: str, fields: Mapping[str, str]) -> str:
  """`pattern` with its fields replaced; the inverse of `match`.

  Raises:
    UserError: a field of `pattern` is malformed or not among `fields`.
  """
  missing = [field for field in field_names(pattern) if field not in fields]
  if missing:
    known = ", ".join(fields) or "none"
    raise UserError(f"pattern '{pattern}' uses field '{missing[0]}'; the fields known are: {known}")
  return _FIELD.sub(lambda found: fields[found[1]], pattern)


@functools.cache
def field_names(pattern: str) -> tuple[str, ...]:
  """Names of the fields of `pattern`, each once, in order.

  Raises:
    UserError: a field of `pattern` is malformed.
  """
  return tuple(_compiled(pattern).groupindex)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
  """`pattern` as a regular expression with one named group a field."""
  expression, start, seen, after_field = "", 0, set(), False
  for found in _FIELD.finditer(pattern):
    literal = pattern[start : found.start()]
    _check_literal(literal, pattern)
    if after_field and not literal:
      raise UserError(f"pattern '{pattern}': put text between two fields, or nothing divides them")
    name, characters = found[1], "." if found[2] else "[^./]"
    group = f"(?P={name})" if name in seen else f"(?P<{name}>{characters}+)"
    expression += re.escape(literal) + group
    seen.add(name)
    start, after_field = found.end(), True
  _check_literal(pattern[start:], pattern)
  return re.compile(expression + re.escape(pattern[start:]), re.DOTALL)


def _check_literal(text: str, pattern: str) -> None:
  if "{" in text or "}" in text:
    raise UserError(
      f"pattern '{pattern}': a field is a name in braces, {{i}}, or {{path*}} to match '.' and '/'"
    )
