"""Darknet's `.weights`: a header of four numbers, then float32 numbers without names or shapes.

What they are only the `.cfg` knows, so that a project takes them layer by layer from a `Cursor`.
Layout of the header: https://github.com/AlexeyAB/darknet, `src/parser.c` (public domain).
"""

import dataclasses
import math
import struct
from pathlib import Path

import numpy as np

from official.checkpoints.arrays import LazyArray
from official.checkpoints.mapped import map_file
from official.checkpoints.problems import Unreadable, naming
from official.cli.errors import UserError

_FLOAT = np.dtype("float32")
# Of version 0.2.5, as Darknet itself writes.
NEW_HEADER = struct.pack("<3iq", 0, 2, 5, 0)
_PLAUSIBLE = 10  # Versions seen in the wild: 0.1.0, 0.2.0, 0.2.5.


@dataclasses.dataclass(frozen=True)
class Header:
  """Darknet's version, and how far the weights were trained.

  Attributes:
    major: of Darknet's version.
    minor: of Darknet's version.
    revision: of Darknet's version.
    seen: number of images trained on.
    size: bytes of the header itself: `seen` has 8 from version 0.2 on, 4 before.
  """

  major: int
  minor: int
  revision: int
  seen: int
  size: int


def read_header(data: memoryview) -> Header | None:
  """The header, if `data` can be a `.weights` file: it has no other mark of its own."""
  if len(data) < 20 or len(data) % 4:
    return None
  major, minor, revision = struct.unpack_from("<3i", data)
  if not all(0 <= part < _PLAUSIBLE for part in (major, minor, revision)) or not (major or minor):
    return None
  wide = major * 10 + minor >= 2
  (seen,) = struct.unpack_from("<q" if wide else "<i", data, 12)
  return Header(major, minor, revision, seen, 20 if wide else 16) if seen >= 0 else None


class Cursor:
  """Hands out the numbers of a `.weights` file in their order.

  Args:
    path: the file.

  Raises:
    UserError: it cannot be a `.weights` file.
  """

  def __init__(self, path: Path) -> None:
    self._path = path
    with naming(path):
      self._data = map_file(path)
      self.header = _require_header(self._data)
    self._position = self.header.size

  @property
  def left(self) -> int:
    """How many numbers have not been taken."""
    return (len(self._data) - self._position) // _FLOAT.itemsize

  def take(self, shape: tuple[int, ...], what: str) -> LazyArray:
    """The next numbers, as an array of `shape`, float32.

    Raises:
      UserError: there are not so many; names `what` they are for.
    """
    count = math.prod(shape)
    if count > self.left:
      raise UserError(
        f"{self._path} is too short: {what} needs {count:,} numbers and {self.left:,} are left; "
        "use the .cfg that it was made with, or download it again"
      )
    array = _floats(self._data, self._position, shape)
    self._position += count * _FLOAT.itemsize
    return array.named(what, self._path)

  def finish(self) -> None:
    """Says that nothing is to come.

    Raises:
      UserError: numbers are left over.
    """
    if self.left:
      raise UserError(
        f"{self._path} is too long: {self.left:,} numbers are left over; use the .cfg that it was "
        "made with"
      )


def read_darknet(data: memoryview) -> tuple[dict[str, LazyArray], dict[str, int]]:
  """All numbers of the file `data` as the one array "weights", and its header as metadata.

  Raises:
    Unreadable: it cannot be a `.weights` file.
  """
  header = _require_header(data)
  count = (len(data) - header.size) // _FLOAT.itemsize
  metadata = dataclasses.asdict(header)
  del metadata["size"]
  return {"weights": _floats(data, header.size, (count,))}, metadata


def _require_header(data: memoryview) -> Header:
  header = read_header(data)
  if header is None:
    raise Unreadable("it is no .weights file of Darknet", "check the path")
  return header


def _floats(data: memoryview, start: int, shape: tuple[int, ...]) -> LazyArray:
  def load() -> np.ndarray:
    return np.ndarray(shape, "<f4", data, start).astype(_FLOAT)

  return LazyArray(shape, _FLOAT, load)
