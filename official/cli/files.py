"""Files that are either whole or not there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from official.cli.errors import UserError


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
  """Opens `path` for writing under a temporary name, and renames it when the block ends well.

  After an exception nothing is left under either name that was not there before.

  Raises:
    UserError: when the system refuses (disk full, no permission), naming the file.
  """
  partial = path.with_name(path.name + ".partial")
  try:
    with open(partial, "wb", buffering=1 << 20) as file:
      yield file
    os.replace(partial, path)
  except OSError as error:
    partial.unlink(missing_ok=True)
    raise UserError(f"cannot write {path}: {error.strerror or error}") from error
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


def write_file(path: Path, data: bytes) -> None:
  """Writes `data` to `path` atomically, making the directory where it is missing."""
  make_directory(path.parent)
  with atomic_file(path) as file:
    file.write(data)


def make_directory(path: Path) -> None:
  """Makes `path` and its parents.

  Raises:
    UserError: when the system refuses, or a file is in the way.
  """
  try:
    path.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(f"cannot make the directory {path}: {error.strerror or error}") from error
