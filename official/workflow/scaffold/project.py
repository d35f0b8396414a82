"""Writes a new project: `templates/`, filled in, under names that nothing has yet."""

import contextlib
import importlib.resources
import json
import keyword
import re
import shutil
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from official.cli.errors import UserError
from official.cli.files import write_file
from official.workflow.scaffold import original
from official.workflow.scaffold.original import Original

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ROOMS = ("projects", "tests/projects")
_PACKAGES = ["configs", "dataloaders", "losses", "modeling", "ops", "reference", "serving", "tasks"]


def check_name(root: Path, name: str) -> None:
  """Raises `UserError` where `name` cannot be a project's, or is one of the repository's."""
  if not _NAME.fullmatch(name) or keyword.iskeyword(name):
    raise UserError(f"'{name}' cannot name a package: write small letters, digits and _")
  for path in _places(root, name):
    if path.exists():
      raise UserError(f"{path.relative_to(root)} is there already; take another name or move it")


def write(root: Path, name: str, of: Original) -> list[Path]:
  """Writes the project `name`, which is to become `of`; all of it or nothing.

  Returns:
    what was written, from `root`.

  Raises:
    UserError: `name` will not do, or a file cannot be written.
  """
  check_name(root, name)
  files = _files(name, of)
  with _all_or_nothing(root, name) as partial:
    for room, path, text in files:
      write_file(partial[room] / path, text.encode())
  return [Path(room, name, path) for room, path, _ in files]


def _places(root: Path, name: str) -> list[Path]:
  return [root / room / name for room in _ROOMS]


@contextlib.contextmanager
def _all_or_nothing(root: Path, name: str) -> Iterator[dict[str, Path]]:
  """Folders, by room, that get their names when the block ends well, and vanish otherwise."""
  partial = {room: root / room / f".{name}.partial" for room in _ROOMS}
  done = []
  try:
    yield partial
    for place, folder in zip(_places(root, name), partial.values(), strict=True):
      folder.rename(place)
      done.append(place)
  except BaseException as error:
    for folder in [*partial.values(), *done]:
      shutil.rmtree(folder, ignore_errors=True)
    if isinstance(error, OSError):
      raise UserError(f"cannot write the project: {error}") from error
    raise


def _files(name: str, of: Original) -> list[tuple[str, str, str]]:
  """Room, path in the project's folder, and text of each file."""
  words = _words(name, of)
  found = [("projects", "__init__.py", "")]
  found += [("projects", f"{package}/__init__.py", "") for package in _PACKAGES]
  templates = importlib.resources.files(__package__) / "templates"
  for template in sorted(templates.iterdir(), key=lambda file: file.name):
    # "tests+reference+test_cases.py.txt": the room, then the path.
    room, *path = template.name.removesuffix(".txt").split("+")
    text = string.Template(template.read_text()).substitute(words)
    found.append(("tests/projects" if room == "tests" else room, "/".join(path), text))
  return found


def _words(name: str, of: Original) -> Mapping[str, str]:
  arguments = "".join(
    f"  {_literal(key)}: {_literal(of.arguments[key])},\n" for key in of.arguments
  )
  config = f"config = {of.name}.config_class(**ARGUMENTS)\n  " if of.configured else ""
  made = f"{config}network = {of.name}({'config' if config else '**ARGUMENTS'})"
  return {
    "name": name,
    "title": name.replace("_", " ").title(),
    "module": of.module,
    "class_": of.name,
    "arguments": f"{{\n{arguments}}}" if arguments else "{}",
    "make": made,
    "weights": original.weights(of).rstrip("\n"),
  }


def _literal(value: Any) -> str:
  """Python's source for a value of JSON; strings in double quotes, as ruff writes them."""
  if isinstance(value, str):
    return json.dumps(value)
  if isinstance(value, list):
    return f"[{', '.join(map(_literal, value))}]"
  if isinstance(value, dict):
    return f"{{{', '.join(f'{_literal(key)}: {_literal(value[key])}' for key in value)}}}"
  return repr(value)
