"""Category tables as data sets publish them: text files and JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from official.cli.errors import UserError
from official.datasets import fields
from official.datasets.annotations import Category
from official.datasets.problems import BadInput

Row = TypeVar("Row")


def read_json(path: Path) -> Any:
  """The content of a JSON file.

  Raises:
    UserError: it cannot be read, or is not JSON.
  """
  try:
    return json.loads(read_text(path))
  except ValueError as error:
    raise UserError(f"{path} is not JSON: {error}") from error


def read_text(path: Path) -> str:
  """The content of a text file; raises `UserError` where it cannot be read."""
  try:
    return path.read_text(encoding="utf-8")
  except OSError as error:
    raise UserError(f"cannot read {path}: {error.strerror}") from error
  except UnicodeDecodeError as error:
    raise UserError(f"{path} is not a text file: {error}") from error


def parse_rows(path: Path, rows: list[Any], parse: Callable[[int, Any], Row]) -> list[Row]:
  """`parse(index, row)` of every row; what it objects to is told with the file and the row.

  Raises:
    UserError: a row is wrong, or there is none.
  """
  parsed = []
  for index, row in enumerate(rows):
    try:
      parsed.append(parse(index, row))
    except BadInput as error:
      raise UserError(f"{path}: row {index + 1}: {error}") from error
    except KeyError as error:
      raise UserError(f"{path}: row {index + 1}: no field {error}") from error
  if not parsed:
    raise UserError(f"{path} names no category")
  return parsed


def check_unique(path: Path, categories: list[Category]) -> tuple[Category, ...]:
  """The table, as a tuple; raises `UserError` where two categories share an id."""
  seen: set[int] = set()
  for category in categories:
    if category.id in seen:
      raise UserError(f"{path}: category id {category.id} '{category.name}' is there twice")
    seen.add(category.id)
  return tuple(categories)


def number(text: str) -> int:
  """A whole number that is not negative; raises `BadInput` for anything else."""
  if not text.isdecimal():
    raise BadInput(f"'{text}' is not a whole number")
  return int(text)


def entries(path: Path, content: Any, key: str) -> list[Any]:
  """The list `key` of a JSON object.

  Raises:
    UserError: there is none.
  """
  try:
    return fields.items(fields.mapping(content), key)
  except (BadInput, KeyError) as error:
    raise UserError(f"{path} has no list '{key}'") from error
