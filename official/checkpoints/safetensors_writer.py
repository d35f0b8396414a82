"""Writes safetensors files: a header in JSON, then the arrays' raw bytes."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from official.checkpoints.safetensors_file import DTYPES
from official.cli.errors import UserError
from official.cli.files import atomic_file, make_directory

_ALIGNMENT = 8  # Of the arrays' first byte; readers map them as they are.
_CODES = {dtype: code for code, dtype in DTYPES.items()}


def write_safetensors(
  path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
  """Writes `arrays` in their order, and `metadata`; the file is whole or not there.

  Raises:
    UserError: the system refuses, or an array is of a type that safetensors does not have.
  """
  header = json.dumps({"__metadata__": dict(metadata), **_places(arrays)}, separators=(",", ":"))
  raw = header.encode()
  raw = raw.ljust(-(-len(raw) // _ALIGNMENT) * _ALIGNMENT)
  make_directory(path.parent)
  with atomic_file(path) as file:
    file.write(len(raw).to_bytes(8, "little") + raw)
    for array in arrays.values():
      file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())


def _places(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, object]]:
  places, end = {}, 0
  for name, array in arrays.items():
    if array.dtype not in _CODES:
      raise UserError(f"'{name}' is of type {array.dtype}, which safetensors does not have")
    start, end = end, end + array.nbytes
    code = _CODES[array.dtype]
    places[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [start, end]}
  return places
