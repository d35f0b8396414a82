"""Reads YAML settings, with one-line errors and without TensorFlow."""

import re
from typing import Any

import yaml

from official.cli.errors import UserError


class _Loader(yaml.FullLoader):
  """YAML as TFMG reads it: 1e-3 is a number, and !!python/tuple (in a params.yaml) is a list."""


_Loader.add_implicit_resolver(
  "tag:yaml.org,2002:float",
  re.compile(r"^[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)[eE][-+]?\d+$"),
  list("-+.0123456789"),
)


def read(path: str) -> dict[str, Any]:
  """The settings in the file `path`.

  Raises:
    UserError: it is missing, is not YAML, or holds something other than `key: value` lines.
  """
  try:
    with open(path, encoding="utf-8") as file:
      return parse(file.read(), path)
  except (OSError, UnicodeDecodeError) as error:
    reason = error.strerror if isinstance(error, OSError) else "it is not text"
    raise UserError(f"cannot read settings from {path}: {reason}") from error


def parse(text: str, source: str) -> dict[str, Any]:
  """The settings in `text`, which come from `source` (named in errors)."""
  try:
    values = yaml.load(text, Loader=_Loader)
  except yaml.YAMLError as error:
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    raise UserError(f"{source}{line}: not valid YAML: {problem}") from error
  if values is None:
    return {}
  if not isinstance(values, dict):
    raise UserError(f"{source}: expected 'key: value' settings, got {text.strip()[:60]!r}")
  return values
