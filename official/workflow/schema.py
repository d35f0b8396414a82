"""Reads nested settings field by field; what is missing, wrong or unknown is told in one line."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from official.cli.errors import UserError, nearest

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Fields:
  """The fields of one mapping. Each is asked for once; `done` refuses those nobody asked for.

  Args:
    values: the mapping.
    where: file and place, named in errors.

  Raises:
    UserError: `values` is no mapping with text keys; and by every method, for a wrong field.
  """

  def __init__(self, values: Any, where: str) -> None:
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
      raise UserError(f"{where}: expected 'key: value' fields")
    self.where = where
    self._values, self._asked = values, set[str]()

  def text(self, key: str) -> str:
    """Text that is not empty."""
    value = self._get(key)
    if not isinstance(value, str) or not value.strip():
      raise UserError(f"{self.where}.{key}: expected text, not {value!r}")
    return value.strip()

  def choice(self, key: str, known: Collection[str]) -> str:
    """One of `known`."""
    value = self.text(key)
    if value not in known:
      hint = nearest(value, known) or f" (one of {', '.join(known)})"
      raise UserError(f"{self.where}.{key}: no '{value}'{hint}")
    return value

  def number(self, key: str) -> float:
    """A number, not negative."""
    value = self._get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
      raise UserError(f"{self.where}.{key}: expected a number ≥ 0, not {value!r}")
    return value

  def texts(self, key: str) -> tuple[str, ...]:
    """A list of texts; empty where it is left out."""
    values = self._list(key)
    if not all(isinstance(value, str) and value.strip() for value in values):
      raise UserError(f"{self.where}.{key}: expected a list of texts")
    return tuple(values)

  def digest(self, key: str) -> str:
    """A SHA-256 in hexadecimal."""
    value = self.text(key)
    if not _SHA256.fullmatch(value):
      raise UserError(f"{self.where}.{key}: expected 64 hexadecimal digits, not '{value}'")
    return value

  def each(self, key: str) -> Iterator["Fields"]:
    """The mappings of a list; none where it is left out."""
    for index, value in enumerate(self._list(key)):
      yield Fields(value, f"{self.where}.{key}[{index}]")

  def below(self, key: str) -> "Fields":
    """The mapping of `key`."""
    return Fields(self._get(key), f"{self.where}.{key}")

  def names(self) -> tuple[str, ...]:
    """The keys that are there."""
    return tuple(self._values)

  def has(self, key: str) -> bool:
    """Whether `key` is there."""
    return key in self._values

  def done(self) -> None:
    """Refuses fields that nobody asked for."""
    for key in self._values:
      if key not in self._asked:
        raise UserError(f"{self.where}: unknown field '{key}'{nearest(key, self._asked)}")

  def _get(self, key: str) -> Any:
    self._asked.add(key)
    if key not in self._values:
      raise UserError(f"{self.where}: '{key}' is missing")
    return self._values[key]

  def _list(self, key: str) -> list[Any]:
    self._asked.add(key)
    value = self._values.get(key, [])
    if not isinstance(value, list):
      raise UserError(f"{self.where}.{key}: expected a list")
    return value
