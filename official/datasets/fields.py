"""Fields of untrusted JSON records, checked.

A wrong value raises `BadInput`, a missing one KeyError.
"""

import math
from typing import Any

from official.datasets.problems import BadInput

Record = dict[str, Any]


def is_number(value: Any) -> bool:
  """Whether `value` is a finite number (a truth value is not)."""
  return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def mapping(record: Any) -> Record:
  """`record` itself, when it is a JSON object."""
  if not isinstance(record, dict):
    raise BadInput(f"{record!r} is not an object")
  return record


def integer(record: Record, key: str) -> int:
  """An integer field."""
  value = record[key]
  if not isinstance(value, int) or isinstance(value, bool):
    raise BadInput(f"{key} {value!r} is not an integer")
  return value


def positive(record: Record, key: str) -> float:
  """A field that is a finite number above zero."""
  value = record[key]
  if not is_number(value) or value <= 0:
    raise BadInput(f"{key} {value!r} is not positive")
  return value


def text(record: Record, key: str) -> str:
  """A field that is a non-empty string."""
  value = record[key]
  if not isinstance(value, str) or not value:
    raise BadInput(f"{key} {value!r} is not a name")
  return value


def flag(record: Record, key: str) -> bool:
  """A field that is 0 or 1, as a truth value."""
  if record[key] not in (0, 1):
    raise BadInput(f"{key} {record[key]!r} is neither 0 nor 1")
  return bool(record[key])


def items(record: Record, key: str) -> list[Any]:
  """A field that is a list."""
  value = record[key]
  if not isinstance(value, list):
    raise BadInput(f"{key} is not a list")
  return value
