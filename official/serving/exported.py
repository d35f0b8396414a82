"""Folders of exported files: what they say of themselves."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from official.cli.errors import UserError
from official.cli.files import write_file
from official.datasets.annotations import Category

_FILE = "settings.json"


@dataclasses.dataclass(frozen=True)
class Exported:
  """What a folder says.

  Attributes:
    project: that wrote it.
    categories: by class.
    options: the project's own.
  """

  project: str
  categories: Sequence[Category]
  options: Mapping[str, Any]

  def write(self, folder: Path) -> None:
    """Writes it into `folder`."""
    data = json.dumps(dataclasses.asdict(self), indent=1)
    write_file(folder / _FILE, f"{data}\n".encode())


def read(folder: Path) -> Exported:
  """What `folder` says; raises `UserError` where it says nothing that can be understood."""
  path = folder / _FILE
  try:
    told = json.loads(path.read_text())
    return Exported(
      told["project"], [Category(**each) for each in told["categories"]], told["options"]
    )
  except OSError as error:
    raise UserError(f"{path}: cannot be read ({error.strerror}): {folder} is no export") from error
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(f"{path}: damaged ({error!r}): export it anew") from error
