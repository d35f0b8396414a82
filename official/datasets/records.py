"""What is on disk: shard names, the sidecar, and records counted without reading them."""

import dataclasses
import glob
import json
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from official.cli.errors import UserError, nearest
from official.cli.files import write_file
from official.datasets.annotations import Category

_HEADER, _FOOTER = 12, 4  # Length and its checksum before the data, the data's checksum after it.
_SHARD = re.compile(r"-(\d{5}|\?+|\*)-of-(\d{5}|\?+|\*)\.tfrecord\*?$|-?\*(\.tfrecord\*?)?$")


@dataclass(frozen=True)
class Sidecar:
  """What PREFIX.json says of the shards PREFIX-*.tfrecord.

  Attributes:
    categories: in the order of contiguous ids; of COCO-style data things first.
    examples: the number of examples of each shard.
    boxes: the number of objects in all, crowds included.
    skipped: a line for each thing of the input that was left out.
  """

  categories: tuple[Category, ...]
  examples: tuple[int, ...]
  boxes: int
  skipped: tuple[str, ...]

  @property
  def things(self) -> tuple[Category, ...]:
    """The thing categories; the index is the contiguous id among things."""
    return tuple(category for category in self.categories if category.isthing)


def shard_path(prefix: Path, index: int, count: int) -> Path:
  """PREFIX-00000-of-00004.tfrecord for shard 0 of 4."""
  return prefix.with_name(f"{prefix.name}-{index:05d}-of-{count:05d}.tfrecord")


def sidecar_path(prefix: Path) -> Path:
  """PREFIX.json."""
  return prefix.with_name(f"{prefix.name}.json")


def save_sidecar(prefix: Path, sidecar: Sidecar) -> None:
  """Writes PREFIX.json, atomically."""
  write_file(sidecar_path(prefix), json.dumps(dataclasses.asdict(sidecar), indent=1).encode())


def load_sidecar(pattern: str | os.PathLike[str]) -> Sidecar:
  """Reads the sidecar of a data set.

  Args:
    pattern: the prefix, the sidecar's own path, a shard's path, or a pattern of shards such as
      `data/train-*.tfrecord`.

  Raises:
    UserError: when there is none, or it is not one.
  """
  text = os.fspath(pattern)
  path = sidecar_path(Path(_SHARD.sub("", text.removesuffix(".json"))))
  try:
    content = json.loads(path.read_bytes())
    return Sidecar(
      categories=tuple(Category(**row) for row in content["categories"]),
      examples=tuple(content["examples"]),
      boxes=content["boxes"],
      skipped=tuple(content["skipped"]),
    )
  except FileNotFoundError as error:
    there = glob.glob(f"{glob.escape(str(path.parent))}/*.json")
    raise UserError(f"no {path}, the sidecar of {text}{nearest(str(path), there)}") from error
  except OSError as error:
    raise UserError(f"cannot read {path}: {error.strerror}") from error
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(f"{path} is not a sidecar that prepare_data wrote: {error!r}") from error


def count_records(path: str | os.PathLike[str]) -> int:
  """The number of records of a TFRecord file, counted by hopping from header to header.

  Raises:
    UserError: when the file cannot be read or ends inside a record, naming the byte.
  """
  try:
    size = os.path.getsize(path)
    with open(path, "rb") as file:
      return _count(file.fileno(), size, os.fspath(path))
  except OSError as error:
    raise UserError(f"cannot read {os.fspath(path)}: {error.strerror}") from error


def _count(descriptor: int, size: int, name: str) -> int:
  offset = count = 0
  while offset < size:
    header = os.pread(descriptor, _HEADER, offset)
    length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER else size
    end = offset + _HEADER + length + _FOOTER
    if end > size:
      raise UserError(
        f"{name} is truncated: record {count} begins at byte {offset} and the file ends at {size}"
      )
    offset, count = end, count + 1
  return count
