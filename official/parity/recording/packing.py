"""Packed recordings: without what a rule makes again, and without what is there twice.

A recording of a network of 45 million parameters that keeps figures of arrays is still as large as
its weights. Where weights and inputs follow from a rule, a packed recording leaves them out; they
are made anew when it is unpacked, which gives the same file again, byte by byte.

The file is NumPy's `.npz`: "header" (JSON, as bytes) and "data" (bytes).
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from official.cli.errors import UserError
from official.cli.files import atomic_file
from official.parity.keys import Key
from official.parity.recording import container
from official.parity.recording.header import Contents

Make = Callable[[Key, tuple[int, ...], np.dtype], np.ndarray]


def pack(recording: Path, packed: Path, made: Callable[[Key], bool]) -> None:
  """Writes `recording` as `packed`.

  Args:
    recording: a recording.
    packed: the file to make.
    made: tells of which arrays a rule makes the values; they are left out.

  Raises:
    UserError: `recording` is none.
  """
  places, contents, start = container.read_header(recording)
  data, sources, known = bytearray(), {}, {}
  with open(recording, "rb") as file:
    for name, place in places.items():
      first, end = place["data_offsets"]
      if made(Key.parse(name)):
        continue
      file.seek(start + first)
      chunk = file.read(end - first)
      if chunk not in known:
        known[chunk] = len(data)
        data += chunk
      sources[name] = known[chunk]
  header = {"contents": contents.to_json(), "places": places, "sources": sources}
  arrays = {"header": json.dumps(header, separators=(",", ":")).encode(), "data": bytes(data)}
  with atomic_file(packed) as file:
    np.savez_compressed(file, **{key: np.frombuffer(v, np.uint8) for key, v in arrays.items()})


def unpack(packed: Path, recording: Path, make: Make) -> None:
  """Writes the recording that `packed` was made of, byte by byte.

  Args:
    packed: made by `pack`.
    recording: the file to make.
    make: (key, shape, dtype) → the array that was left out.

  Raises:
    UserError: `packed` is missing or damaged, or `make` makes other values than were recorded.
  """
  header, data = _read(packed)
  contents, sources = Contents.from_json(header["contents"]), header["sources"]
  with atomic_file(recording) as file:
    file.seek(container.RESERVED)
    for name, place in header["places"].items():
      first, end = place["data_offsets"]
      if name in sources:
        file.write(data[sources[name] : sources[name] + end - first])
      else:
        file.write(_made(packed, name, place, contents, make))
    container.write_header(file, header["places"], contents)


def _read(packed: Path) -> tuple[Mapping[str, Any], np.ndarray]:
  try:
    with np.load(packed) as arrays:
      return json.loads(arrays["header"].tobytes()), arrays["data"]
  except OSError as error:
    raise UserError(
      f"cannot read the packed recording {packed}: {error.strerror or error}"
    ) from error
  except (ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
    raise UserError(f"{packed} is no packed recording, or is damaged: copy it again") from error


def _made(
  packed: Path, name: str, place: Mapping[str, Any], contents: Contents, make: Make
) -> np.ndarray:
  """The bytes of an array that was left out."""
  dtype = container.CODES[place["dtype"]]
  array = make(Key.parse(name), tuple(place["shape"]), dtype)
  found = np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8)
  if google_crc32c.value(found) != contents.entries[name].crc:
    raise UserError(f"{packed}: {name} is made otherwise now than when it was recorded")
  return found
