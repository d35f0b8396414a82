"""Written files, read by the libraries whose formats they are."""

import pickle

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors import safe_open

from official.checkpoints.formats import open_checkpoint
from official.checkpoints.safetensors_writer import write_safetensors
from official.checkpoints.writers import WRITERS
from official.cli.errors import UserError

ARRAYS = {
  "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
  "a.bias": np.array([1.5, -0.0, np.inf], np.float64),
  "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
  "half": np.array([1, 2], np.float16),
  "steps": np.array(7, np.int64),
  "flags": np.array([True, False]),
  "empty": np.zeros((0, 3), np.float32),
  "schräg": np.ones(1, np.uint8),
}


def _same(found, expected):
  assert list(found) == list(expected)
  for name, array in expected.items():
    assert found[name].dtype == array.dtype
    np.testing.assert_array_equal(found[name], array)
    assert found[name].tobytes() == array.tobytes()


def test_safetensors_reads_its_own_format(tmp_path):
  path = tmp_path / "new" / "a.safetensors"
  WRITERS[".safetensors"](path, ARRAYS)
  found = safetensors.numpy.load_file(path)
  _same({name: found[name] for name in ARRAYS}, ARRAYS)
  with safe_open(path, "numpy") as file:
    assert file.metadata() == {"format": "pt"}
  assert (8 + int.from_bytes(path.read_bytes()[:8], "little")) % 8 == 0
  _same({name: a.read() for name, a in open_checkpoint(path).arrays.items()}, ARRAYS)
  assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


def test_bfloat16_is_torchs(tmp_path):
  path = tmp_path / "a.safetensors"
  write_safetensors(path, {"a": np.array([1.0, -2.5], ml_dtypes.bfloat16)}, {})
  with safe_open(path, "pt") as file:
    found = file.get_tensor("a")
  assert found.dtype == torch.bfloat16
  assert found.tolist() == [1.0, -2.5]


def test_types_that_safetensors_lacks_leave_no_file(tmp_path):
  path = tmp_path / "a.safetensors"
  with pytest.raises(UserError, match="'b' is of type <U1, which"):
    write_safetensors(path, {"a": np.ones(1), "b": np.array(["x"])}, {})
  assert list(tmp_path.iterdir()) == []


def test_pickles_are_as_detectron2_reads_them(tmp_path):
  path = tmp_path / "new" / "a.pkl"
  WRITERS[".pkl"](path, ARRAYS)
  # As its `DetectionCheckpointer` does.
  loaded = pickle.loads(path.read_bytes(), encoding="latin1")
  assert loaded["__author__"] == "Transplant"
  _same(loaded["model"], ARRAYS)
  assert "matching_heuristics" not in loaded
  found = open_checkpoint(path).below("model")
  _same({name: array.read() for name, array in found.items()}, ARRAYS)
