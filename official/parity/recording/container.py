"""A recording's file: safetensors, whose metadata holds `Contents` and a checksum of the header.

8 bytes     length of the header
header      JSON: dtype, shape and place of each array; `Contents`, checksum; spaces up to 4 MiB
arrays      one behind the other
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import ml_dtypes
import numpy as np

from official.cli.errors import UserError
from official.parity.recording.header import Contents

Places = dict[str, dict[str, Any]]  # safetensors' own: dtype, shape, data_offsets of each array.

VERSION = "1"
RESERVED = 4 << 20  # For the header, so that the data need not move when it is known.
CODES: dict[str, np.dtype] = {
  "BOOL": np.dtype(np.bool_),
  "U8": np.dtype(np.uint8),
  "I8": np.dtype(np.int8),
  "U16": np.dtype(np.uint16),
  "I16": np.dtype(np.int16),
  "U32": np.dtype(np.uint32),
  "I32": np.dtype(np.int32),
  "U64": np.dtype(np.uint64),
  "I64": np.dtype(np.int64),
  "F16": np.dtype(np.float16),
  "BF16": np.dtype(ml_dtypes.bfloat16),
  "F32": np.dtype(np.float32),
  "F64": np.dtype(np.float64),
}
CODE_OF = {dtype: code for code, dtype in CODES.items()}


def write_header(file: BinaryIO, places: Places, contents: Contents) -> None:
  """Puts the header in front of the arrays, which begin at `RESERVED`; moves them if it must."""
  text = contents.to_json()
  metadata = {"transplant": VERSION, "contents": text, "crc": _checksum(places, text)}
  header = json.dumps({"__metadata__": metadata, **places}, separators=(",", ":")).encode()
  room = max(RESERVED, -(-(8 + len(header)) // 8) * 8)
  if room > RESERVED:
    _move_data(file, max((p["data_offsets"][1] for p in places.values()), default=0), room)
  file.seek(0)
  file.write((room - 8).to_bytes(8, "little") + header.ljust(room - 8))


def _checksum(places: Mapping[str, Any], contents: str) -> str:
  text = json.dumps(places, separators=(",", ":"), sort_keys=True) + contents
  return f"{google_crc32c.value(text.encode()):08x}"


def _move_data(file: BinaryIO, size: int, room: int) -> None:
  """Moves `size` bytes from the place reserved for them to `room`, from the end on."""
  step = 1 << 24
  file.flush()
  with open(file.name, "rb") as source:
    for start in reversed(range(0, size, step)):
      source.seek(RESERVED + start)
      data = source.read(min(step, size - start))
      file.seek(room + start)
      file.write(data)


def read_header(path: Path) -> tuple[Places, Contents, int]:
  """Places of the arrays, what is in them, and where the first begins.

  Raises:
    UserError: the file is missing, cut short, damaged, or no recording of this version.
  """
  try:
    with open(path, "rb") as file:
      length = int.from_bytes(file.read(8), "little")
      size = os.fstat(file.fileno()).st_size
      text = file.read(length) if length <= size - 8 else b""
  except OSError as error:
    raise UserError(f"cannot read the recording {path}: {error.strerror or error}") from error
  if not text:
    raise UserError(f"{path} is no recording, or is cut short")
  places, metadata = _decode(path, text)
  if metadata.get("transplant") != VERSION:
    raise UserError(
      f"{path} is no recording of version {VERSION}: make one with `tools/parity.py record`"
    )
  if metadata.get("crc") != _checksum(places, metadata.get("contents", "")):
    raise UserError(f"{path} is damaged in its header: record it again, or copy it again")
  end = max((place["data_offsets"][1] for place in places.values()), default=0)
  if size != 8 + length + end:
    raise UserError(f"{path} is cut short, or has grown: record it again, or copy it again")
  return places, Contents.from_json(metadata["contents"]), 8 + length


def _decode(path: Path, text: bytes) -> tuple[Places, dict[str, str]]:
  try:
    places = json.loads(text)
    return places, dict(places.pop("__metadata__"))
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(f"{path} is no recording, or is damaged in its header") from error
