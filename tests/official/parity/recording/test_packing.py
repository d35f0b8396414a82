"""A packed recording comes back byte by byte, or says why not."""

import numpy as np
import pytest

from official.cli.errors import UserError
from official.parity.keys import Key
from official.parity.recording import packing
from official.parity.recording.header import Header
from official.parity.recording.reader import Recording
from official.parity.recording.tiers import Tier
from official.parity.recording.writer import RecordingWriter

HEADER = Header("reference", "torch", {"torch": "2"}, "float64", 7, "toy/case")
WEIGHT = Key("init", "parameter", "w")
TWICE = Key("eval", "output", "a"), Key("train", "output", "a")


@pytest.fixture
def arrays():
  random = np.random.default_rng(0)
  same = random.normal(size=5000)
  return {
    WEIGHT: random.normal(size=(300, 40)),
    TWICE[0]: same,
    TWICE[1]: same,
    Key("train", "loss", "total"): np.float32(2.5),
    Key("eval", "output", "empty"): np.zeros([0, 3]),
    Key("batch", "input", "classes"): np.arange(7, dtype=np.int32),
  }


@pytest.fixture
def recording(tmp_path, arrays):
  path = tmp_path / "r.safetensors"
  with RecordingWriter(path, HEADER, Tier.STATISTICS) as writer:
    for key, array in arrays.items():
      writer.write(key, array)
  return path


def pack(recording):
  packed = recording.with_name("r.npz")
  packing.pack(recording, packed, lambda key: key == WEIGHT)
  return packed


def test_a_recording_comes_back_byte_by_byte(tmp_path, recording, arrays):
  packed = pack(recording)
  # The weights are left out, and what is there twice is there once.
  assert packed.stat().st_size < 136 * 8 + 1500 < arrays[WEIGHT].nbytes
  asked = []

  def make(key, shape, dtype):
    asked.append((key, shape, dtype))
    return arrays[key]

  restored = tmp_path / "restored.safetensors"
  packing.unpack(packed, restored, make)
  assert restored.read_bytes() == recording.read_bytes()
  assert asked == [(WEIGHT, (300, 40), np.float64)]
  np.testing.assert_array_equal(Recording(restored).read(WEIGHT), arrays[WEIGHT])


def test_other_weights_are_refused(tmp_path, recording, arrays):
  other = arrays[WEIGHT].copy()
  other[7, 3] = np.nextafter(other[7, 3], 9)
  restored = tmp_path / "restored.safetensors"
  with pytest.raises(UserError, match="init/parameter/w is made otherwise now"):
    packing.unpack(pack(recording), restored, lambda *about: other)
  assert not restored.exists()


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "bit", "names"])
def test_what_is_no_packed_recording_is_told(tmp_path, recording, arrays, damage):
  packed = pack(recording)
  data = bytearray(packed.read_bytes())
  if damage == "missing":
    packed.unlink()
  elif damage == "text":
    packed.write_text("text")
  elif damage == "cut":
    packed.write_bytes(data[: len(data) // 2])
  elif damage == "bit":
    data[len(data) // 2] ^= 1
    packed.write_bytes(data)
  else:
    np.savez(packed, other=np.zeros(3))
  with pytest.raises(UserError, match=r"r\.npz"):
    packing.unpack(packed, tmp_path / "restored.safetensors", lambda *about: arrays[WEIGHT])
