"""safetensors files: a header in JSON, then the arrays' raw bytes.

Format: https://huggingface.co/docs/safetensors; every byte after the header belongs to exactly one
array.
"""

import json
import math
from typing import Any

import ml_dtypes
import numpy as np

from official.checkpoints.arrays import LazyArray
from official.checkpoints.problems import UNSUPPORTED, Unreadable, shown
from official.checkpoints.shapes import is_shape

MAX_HEADER = 25_000_000  # A quarter of a million arrays; the format allows four times as much.
_LENGTH_BYTES = 8
DTYPES = {
  "BOOL": np.dtype("bool"),
  **{f"U{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
  **{f"I{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
  **{f"F{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
  "BF16": np.dtype(ml_dtypes.bfloat16),
  "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
  "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
  "C64": np.dtype("complex64"),
}


def header_length(data: memoryview) -> int | None:
  """The length of the header, if `data` begins as a safetensors file does."""
  length = int.from_bytes(data[:_LENGTH_BYTES], "little")
  looks_so = length < 1 << 32 and bytes(data[_LENGTH_BYTES : _LENGTH_BYTES + 1]) == b"{"
  return length if looks_so else None


def read_safetensors(data: memoryview) -> tuple[dict[str, LazyArray], dict[str, str]]:
  """The arrays of the file `data` by name, and its metadata.

  Raises:
    Unreadable: it is damaged, or its header and its length do not agree.
  """
  length = header_length(data) or 0
  header = _header(data[_LENGTH_BYTES : _LENGTH_BYTES + length], length)
  content = data[_LENGTH_BYTES + length :]
  metadata = header.pop("__metadata__", {})
  if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
    raise Unreadable("the metadata of its header is not of strings")
  arrays = {}
  spans = []
  for name, entry in header.items():
    arrays[name], span = _array(name, entry, content)
    spans.append(span)
  _check_cover(spans, len(content))
  return arrays, metadata


def _header(raw: memoryview, length: int) -> dict[str, Any]:
  if length > MAX_HEADER:
    raise Unreadable(f"its header of {length:,} bytes is larger than any checkpoint's", UNSUPPORTED)
  if len(raw) < length:
    raise Unreadable("its header is cut short")
  try:
    # An object: it begins with "{".
    return json.loads(str(raw, "utf-8"), object_pairs_hook=_unique)
  # Nesting deeper than Python's stack is a RecursionError; all else that is no JSON a ValueError.
  except (ValueError, RecursionError) as error:
    raise Unreadable("its header is no JSON") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  result = dict(pairs)
  if len(result) != len(pairs):
    raise Unreadable("its header has a name twice")
  return result


def _array(name: str, entry: Any, content: memoryview) -> tuple[LazyArray, tuple[int, int]]:
  match entry:
    case {"dtype": str(code), "shape": list(shape), "data_offsets": [int(start), int(end)]}:
      pass
    case _:
      raise Unreadable(f"its header describes {shown(name)} incompletely")
  if code not in DTYPES:
    raise Unreadable(f"{shown(name)} is of type {shown(code)}", UNSUPPORTED)
  dtype = DTYPES[code]
  if not is_shape(shape):
    raise Unreadable(f"{shown(name)} has the shape {shown(shape)}")
  if not 0 <= start <= end <= len(content) or math.prod(shape) * dtype.itemsize != end - start:
    raise Unreadable(f"{shown(name)} of {code} {shown(shape)} cannot be in bytes {start} to {end}")

  def load() -> np.ndarray:
    little = np.ndarray(shape, dtype.newbyteorder("<"), content[start:end])
    return little.astype(dtype)

  return LazyArray(tuple(shape), dtype, load), (start, end)


def _check_cover(spans: list[tuple[int, int]], size: int) -> None:
  position = 0
  for start, end in sorted(spans):
    if start != position:
      raise Unreadable(f"its arrays {'overlap' if start < position else 'leave a gap'}")
    position = end
  if position != size:
    raise Unreadable(f"it is {size - position} bytes longer than its header says")
