"""Random damage to good files: each opens and reads, or is refused; nothing else, and no code."""

import io
import pickle
import random

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import nn

from official.checkpoints.formats import open_checkpoint
from official.checkpoints.pickles import machine
from official.cli.errors import UserError
from tests.official.checkpoints.watch import watched

ROUNDS = 500


def torch_file(**options):
  torch.manual_seed(0)
  model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
  file = io.BytesIO()
  value = {"model": model.state_dict(), "whole": model, "half": torch.ones(3).half(), "epoch": 1}
  torch.save(value, file, **options)
  return file.getvalue()


def detectron2_file(protocol):
  arrays = {f"a{i}": np.arange(6.0 * i, dtype="f4").reshape(2, -1) for i in range(5)}
  return pickle.dumps({"model": arrays, "__author__": "me", "best": np.float64(1)}, protocol)


def safetensors_file():
  bf16 = np.arange(8).astype(ml_dtypes.bfloat16)
  return save({"a": np.ones((3, 4), "f4"), "b": bf16, "c": np.zeros(0, "i8")}, {"k": "v"})


FILES = {
  "torch zip": torch_file,
  "torch legacy": lambda: torch_file(_use_new_zipfile_serialization=False),
  "pickle 2": lambda: detectron2_file(2),
  "pickle 4": lambda: detectron2_file(4),
  "pickle 5": lambda: detectron2_file(5),
  "safetensors": safetensors_file,
  "darknet": lambda: np.array([0, 2, 5, 64, 0], "<i4").tobytes() + np.ones(20, "<f4").tobytes(),
}


def damaged(data, dice):
  """`data` with a bit, a byte or several flipped, cut, lengthened or a piece of it moved."""
  data = bytearray(data)
  place = dice.randrange(len(data))
  match dice.randrange(7):
    case 0 | 1:
      data[place] ^= 1 << dice.randrange(8)
    case 2:
      data[place] = dice.choice(b"\x00\xff.RbcQt(\x81\x93}]h\x80")
    case 3:
      for _ in range(dice.randrange(2, 9)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    case 4:
      del data[place:]
    case 5:
      del data[place : place + dice.randrange(1, 9)]
    case 6:
      data[place:place] = data[: dice.randrange(1, 40)]
  return bytes(data)


def attempt(path):
  """Opens and reads everything; whether it could."""
  with watched() as seen:
    refusal = None
    try:
      for array in open_checkpoint(path).arrays.values():
        content = array.read()
        assert (content.shape, content.dtype) == (array.shape, array.dtype)
    except UserError as error:
      refusal = str(error)
  assert not seen
  assert refusal is None or refusal.isprintable()
  return refusal is None


@pytest.mark.parametrize("kind", FILES)
def test_damage_is_survived(tmp_path, kind, monkeypatch):
  monkeypatch.setattr(machine, "MAX_WORK", 100_000)
  data = FILES[kind]()
  path = tmp_path / "file"
  path.write_bytes(data)
  assert open_checkpoint(path).arrays
  dice = random.Random(kind)
  good = 0
  for _ in range(ROUNDS):
    path.write_bytes(damaged(data, dice))
    good += attempt(path)
  if kind != "darknet":  # Whose numbers have no checksum.
    assert good < ROUNDS / 2


def test_every_cut_of_a_file_is_refused(tmp_path):
  """No beginning of a file passes for a whole one."""
  path = tmp_path / "file"
  for kind in ("torch legacy", "pickle 4", "safetensors"):
    data = FILES[kind]()
    for length in range(0, len(data), 1 + len(data) // 300):
      path.write_bytes(data[:length])
      assert not attempt(path), (kind, length)


def test_flips_in_a_zip_do_not_change_weights(tmp_path):
  """The checksums of a zip catch what changes its numbers."""
  path = tmp_path / "file"
  data = torch_file()
  path.write_bytes(data)
  whole = {name: a.read().tobytes() for name, a in open_checkpoint(path).arrays.items()}
  dice = random.Random(0)
  for _ in range(300):
    changed = bytearray(data)
    changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(changed)
    if attempt(path):
      found = {name: a.read().tobytes() for name, a in open_checkpoint(path).arrays.items()}
      assert found == whole
