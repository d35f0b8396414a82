"""Writes files of weights that originals' own tools read, by the end of their names."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from official.checkpoints.safetensors_writer import write_safetensors
from official.cli.files import atomic_file, make_directory

Writer = Callable[[Path, Mapping[str, np.ndarray]], None]

_AUTHOR = "Transplant"  # detectron2 takes a file without one for Caffe2's.


def _write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
  write_safetensors(path, arrays, {"format": "pt"})  # transformers loads no others.


def _write_pickle(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
  """As detectron2's model zoo; readers need numpy 1.26 or later."""
  make_directory(path.parent)
  with atomic_file(path) as file:
    pickle.dump({"model": dict(arrays), "__author__": _AUTHOR}, file, protocol=4)


WRITERS: Mapping[str, Writer] = {".safetensors": _write_safetensors, ".pkl": _write_pickle}
