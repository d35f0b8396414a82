"""A result as report.json, for other programs."""

from pathlib import Path

from official.parity.result import Result


def write_json(result: Result, path: Path) -> None:
  """Writes `result` to `path`, atomically, making the directory where it is missing.

  Raises:
    UserError: when the system refuses to write.
  """
  raise NotImplementedError


def read_json(path: Path) -> Result:
  """The inverse of `write_json`.

  Raises:
    UserError: where `path` cannot be read or is no report of this version.
  """
  raise NotImplementedError
