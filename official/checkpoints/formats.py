"""Opens a file of weights, whatever its format: told by its content, not by its name."""

import os
from pathlib import Path
from typing import Any

from official.checkpoints import (
  darknet,
  safetensors_file,
  tensorflow_checkpoint,
  torch_legacy,
  torch_zip,
  zip_index,
)
from official.checkpoints.arrays import Checkpoint, LazyArray
from official.checkpoints.flatten import flatten
from official.checkpoints.mapped import map_file
from official.checkpoints.plain_pickle import read_plain_pickle
from official.checkpoints.problems import UNSUPPORTED, Unreadable, naming

_Content = tuple[dict[str, LazyArray], dict[str, Any]]

# The pickled number that torch's old files begin with.
_LEGACY = b"\x80\x02\x8a\x0a" + torch_legacy.MAGIC.to_bytes(10, "little")
_TAR = (257, b"ustar")
_FOREIGN = {
  b"\x89HDF\r\n\x1a\n": "it is an HDF5 file, such as Keras writes",
  b"\x93NUMPY": "it is a single numpy array",
  b"GGUF": "it is a GGUF file",
  b"\x1f\x8b": "it is compressed with gzip",
  b"<!DOC": "it is a web page, perhaps of a failed download",
  b"<html": "it is a web page, perhaps of a failed download",
  b"version https://git-lfs": "it is only the pointer of a file in Git LFS",
}


def open_checkpoint(path: str | Path) -> Checkpoint:
  """Opens the weights in `path`, reading names, shapes and dtypes only.

  Formats: torch's zip and legacy files, plain pickles of numpy arrays (detectron2), safetensors,
  Darknet's `.weights`, TensorFlow's checkpoints (by prefix, `.index` file or folder). torch is not
  needed, and nothing of a pickle is executed.

  Args:
    path: of the file.

  Raises:
    UserError: it is none of these, is damaged, or its pickle wants what `pickles.policy` does not
      allow.
  """
  path = Path(path)
  with naming(path):
    format_name, (arrays, metadata) = _open(path)
  named = {name: array.named(name, path) for name, array in arrays.items()}
  return Checkpoint(path, format_name, named, metadata)


def _open(path: Path) -> tuple[str, _Content]:
  prefix = tensorflow_prefix(path)
  if prefix is not None:
    return "tensorflow", tensorflow_checkpoint.read_tensorflow(prefix)
  data = map_file(path)
  head = bytes(data[:32])
  # Before pickles: a header of 128 bytes, or 256 more, begins with their first byte.
  if safetensors_file.header_length(data) is not None:
    return "safetensors", safetensors_file.read_safetensors(data)
  if head.startswith(zip_index.SIGNATURE):
    return "torch zip", flatten(torch_zip.read_torch_zip(data))
  if head.startswith(_LEGACY):
    return "torch legacy", flatten(torch_legacy.read_torch_legacy(data))
  if head[:1] == b"\x80":
    return "pickle", flatten(read_plain_pickle(data))
  _refuse_foreign(data, head)
  if darknet.read_header(data) is not None:
    return "darknet", darknet.read_darknet(data)
  raise Unreadable("it is of no known format, or damaged at its beginning", "check the path")


def _refuse_foreign(data: memoryview, head: bytes) -> None:
  """Says what a file is that is often taken for a checkpoint."""
  for mark, what in _FOREIGN.items():
    if head.startswith(mark):
      raise Unreadable(what, UNSUPPORTED)
  start, mark = _TAR
  if bytes(data[start : start + len(mark)]) == mark:
    remedy = "load it with torch 1.x and save it again"
    raise Unreadable("it is a tar file, as torch wrote before version 0.1.10", remedy)


def tensorflow_prefix(path: Path) -> Path | None:
  """The prefix of the TensorFlow checkpoint that `path` means, if it means one."""
  if os.path.isdir(path):
    return _newest(path)
  if os.path.isfile(f"{path}.index"):
    return path
  if path.suffix.startswith((".index", ".data-")) and os.path.isfile(path.with_suffix(".index")):
    return path.with_suffix("")
  return None


def _newest(folder: Path) -> Path:
  indices = sorted(folder.glob("*.index"), key=lambda index: index.stat().st_mtime)
  if not indices:
    raise Unreadable("it is a folder without a TensorFlow checkpoint", "name a file of weights")
  return indices[-1].with_suffix("")
