"""Patterns of names: one line for a family of parameters, taps or keys.

A pattern is literal text with fields:

  "{i}"      one or more characters, without "." and "/": one part of a path
  "{path*}"  one or more characters of any kind
  "{i+1}"    a number, one more than the field i; "{i-1}", one less

"layers.{i}.conv.weight" matches "layers.12.conv.weight" with i = "12", and "stage{i+1}/kernel" is
filled with it as "stage13/kernel". A field that occurs twice takes the same text twice. Where
several readings are possible, an earlier field takes as much as it can.
"""

import functools
import re
from collections.abc import Mapping

from official.cli.errors import UserError

_FIELD = re.compile(r"\{([A-Za-z_]\w*)(\*|[+-]\d+)?\}")
_NUMBER = re.compile(r"0|[1-9][0-9]*")


def match(pattern: str, name: str) -> dict[str, str] | None:
  """The fields with which `pattern` becomes `name`, or None where it cannot.

  Raises:
    UserError: a field of `pattern` is malformed.
  """
  expression, fields = _compiled(pattern)
  found = expression.fullmatch(name)
  if found is None:
    return None
  values: dict[str, str] = {}
  for (field, offset), text in zip(fields, found.groups(), strict=True):
    value = str(int(text) - offset) if offset else text
    if (offset and int(value) < 0) or values.setdefault(field, value) != value:
      return None
  return values


def fill(pattern: str, fields: Mapping[str, str]) -> str:
  """`pattern` with its fields replaced; the inverse of `match`.

  Raises:
    UserError: a field of `pattern` is malformed, not among `fields`, or not the number that it must
      be.
  """
  missing = [field for field in field_names(pattern) if field not in fields]
  if missing:
    known = ", ".join(fields) or "none"
    raise UserError(f"pattern '{pattern}' uses field '{missing[0]}'; the fields known are: {known}")
  return _FIELD.sub(lambda found: _filled(found, fields[found[1]], pattern), pattern)


@functools.cache
def field_names(pattern: str) -> tuple[str, ...]:
  """Names of the fields of `pattern`, each once, in order.

  Raises:
    UserError: a field of `pattern` is malformed.
  """
  return tuple(dict.fromkeys(field for field, _ in _compiled(pattern)[1]))


def _filled(found: re.Match[str], value: str, pattern: str) -> str:
  offset = _offset(found)
  if not offset:
    return value
  if not _NUMBER.fullmatch(value) or int(value) + offset < 0:
    raise UserError(f"pattern '{pattern}': '{found[0]}' cannot be made of '{value}'")
  return str(int(value) + offset)


def _offset(found: re.Match[str]) -> int:
  return int(found[2]) if found[2] and found[2] != "*" else 0


@functools.cache
def _compiled(pattern: str) -> tuple[re.Pattern[str], tuple[tuple[str, int], ...]]:
  """`pattern` as a regular expression, and the (field, offset) of each of its groups."""
  expression, start, fields, after_field = "", 0, [], False
  for found in _FIELD.finditer(pattern):
    literal = pattern[start : found.start()]
    _check_literal(literal, pattern)
    if after_field and not literal:
      raise UserError(f"pattern '{pattern}': put text between two fields, or nothing divides them")
    field = (found[1], _offset(found))
    if field in fields:
      group = rf"(?:\{fields.index(field) + 1})"
    else:
      group = f"({_characters(found)})"
      fields.append(field)
    expression += re.escape(literal) + group
    start, after_field = found.end(), True
  _check_literal(pattern[start:], pattern)
  return re.compile(expression + re.escape(pattern[start:]), re.DOTALL), tuple(fields)


def _characters(field: re.Match[str]) -> str:
  if _offset(field):
    return _NUMBER.pattern
  return ".+" if field[2] == "*" else "[^./]+"


def _check_literal(text: str, pattern: str) -> None:
  if "{" in text or "}" in text:
    raise UserError(
      f"pattern '{pattern}': a field is a name in braces, {{i}}, or {{path*}} to match '.' and '/'"
    )
