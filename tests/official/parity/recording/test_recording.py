"""What is written comes back, and a file that is not whole says so in one line."""

import json
import os
import re
import resource
import subprocess
import sys
import threading

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from official.cli.errors import UserError
from official.parity.keys import Key
from official.parity.recording import appending, container
from official.parity.recording.header import Header, TapInfo
from official.parity.recording.reader import Recording
from official.parity.recording.tiers import Statistics, Tier
from official.parity.recording.writer import RecordingWriter

RNG = np.random.default_rng(0)
HEADER = Header("reference", "torch", {"torch": "2"}, "float64", 7, "toy/case")
A, B = Key("eval", "output", "stem/conv:0"), Key("eval", "output", "b")
DTYPES = [*container.CODES.values()]
TAP = TapInfo("stem:x", "stem", 0, "x", "Conv", "(model)", 3, (2, 3), "float64", ("a",), {"eps": 1})


def write(path, arrays, tier=Tier.FULL):
  with RecordingWriter(path, HEADER, tier) as writer:
    for key, array in arrays.items():
      writer.write(key, array)
  return path


@pytest.fixture
def path(tmp_path):
  return tmp_path / "r.safetensors"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)], ids=str)
def test_arrays_of_every_dtype_and_shape_come_back(path, dtype, shape):
  array = (RNG.normal(size=shape) * 100).astype(dtype)
  odd = np.ones(3, np.uint8)  # Moves what follows off its alignment.
  recording = Recording(write(path, {B: odd, A: array}))
  assert recording.keys() == [B, A]
  assert A in recording
  assert Key("eval", "output", "c") not in recording
  got = recording.read(A)
  assert (got.dtype, got.shape, got.flags.aligned) == (array.dtype, shape, True)
  assert got.tobytes() == array.tobytes()
  assert not got.flags.writeable or not got.size
  assert (recording.dtype(A), recording.shape(A)) == (dtype, shape)


def test_layout_in_memory_does_not_matter(path):
  array = RNG.normal(size=[4, 5, 6])
  views = {A: array.transpose(2, 1, 0), B: array[::2, ::-1, 1:]}
  recording = Recording(write(path, views))
  for key, view in views.items():
    np.testing.assert_array_equal(recording.read(key), view)


def test_what_is_not_mapped_holds_no_file(path):
  array = RNG.normal(size=(5, 7))
  write(path, {A: array})
  read = Recording(path, mapped=False).read(A)
  path.write_bytes(bytes(path.stat().st_size))  # In place: what is mapped shows it.
  np.testing.assert_array_equal(read, array)
  assert not read.flags.writeable


def test_safetensors_itself_reads_the_file(path):
  low = RNG.normal(size=3).astype(ml_dtypes.bfloat16)
  write(path, {A: np.arange(6.0).reshape(2, 3), B: low})
  tensors = safetensors.torch.load_file(path)
  assert torch.equal(tensors[str(A)], torch.arange(6.0, dtype=torch.float64).reshape(2, 3))
  assert tensors[str(B)].dtype == torch.bfloat16
  np.testing.assert_array_equal(tensors[str(B)].float().numpy(), low.astype(np.float32))
  with safetensors.safe_open(path, "np") as file:
    assert "contents" in file.metadata()


class SlowFile:
  """Begins to write only when it is told to."""

  def __init__(self):
    self.go, self.written = threading.Event(), b""

  def write(self, data):
    self.go.wait()
    self.written += bytes(data)

  def flush(self):
    pass


def test_what_is_written_may_change_before_the_disk_has_it():
  file = SlowFile()
  appender = appending.Appender(file)
  data = np.zeros(4, np.uint8)
  for value in range(3):
    data[:] = value
    appender.append(data)
  assert file.written == b""
  file.go.set()
  appender.wait()
  appender.close()
  assert file.written == bytes([0] * 4 + [1] * 4 + [2] * 4)


def test_no_more_waits_for_the_disk_than_is_allowed(monkeypatch):
  monkeypatch.setattr(appending, "_IN_FLIGHT", 8)
  file = SlowFile()
  appender = appending.Appender(file)
  data = np.zeros(4, np.uint8)
  appender.append(data)
  appender.append(data)
  third = threading.Thread(target=appender.append, args=[data])
  third.start()
  third.join(0.05)
  assert third.is_alive()
  file.go.set()
  third.join()
  appender.wait()
  appender.close()
  assert len(file.written) == 12


def test_errors_of_the_disk_are_not_lost():
  file = SlowFile()
  file.write = lambda data: (_ for _ in ()).throw(OSError("full"))
  appender = appending.Appender(file)
  appender.append(np.zeros(4, np.uint8))
  with pytest.raises(OSError, match="full"):
    appender.wait()
  appender.close()


def test_header_taps_absences_notes_and_hashes_come_back(path):
  def record(value):
    with RecordingWriter(path, HEADER) as writer:
      writer.write(Key("init", "parameter", "w"), np.full(3, value))
      writer.write(Key("batch", "input", "x"), np.zeros(2))
      writer.absent(Key("train", "gradient", "w"), "frozen")
      writer.taps("eval", [TAP])
      writer.note("determinism", ["yes"])
    return Recording(path)

  first = record(1.0)
  assert first.header == HEADER
  assert first.tier == Tier.FULL
  assert first.taps("eval") == [TAP]
  assert first.taps("train") == []
  assert first.phases == ["eval"]
  assert first.absent == {Key("train", "gradient", "w"): "frozen"}
  assert first.notes == {"determinism": ["yes"]}
  assert first.names("init", "parameter") == ["w"]
  np.testing.assert_array_equal(first.section("init", "parameter")["w"], np.ones(3))
  assert record(1.0).hashes == first.hashes
  other = record(2.0)
  assert other.hashes["parameters"] != first.hashes["parameters"]
  assert other.hashes["batch"] == first.hashes["batch"]


def test_a_header_larger_than_its_place_moves_the_data(path, monkeypatch):
  monkeypatch.setattr(container, "RESERVED", 512)
  arrays = {Key("eval", "output", f"tap{i}"): RNG.normal(size=[50, 40]) for i in range(1200)}
  recording = Recording(write(path, arrays))
  assert len(arrays) * 50 * 40 * 8 > 1 << 24  # More than is moved at once.
  assert all(np.array_equal(recording.read(key), array) for key, array in arrays.items())
  assert len(safetensors.torch.load_file(path)) == len(arrays)


def test_keys_are_written_once_and_dtypes_are_those_of_safetensors(path):
  with RecordingWriter(path, HEADER) as writer:
    writer.write(A, np.zeros(2))
    with pytest.raises(ValueError, match="twice"):
      writer.write(A, np.zeros(2))
    with pytest.raises(ValueError, match="absent"):
      writer.absent(A, "unused")
    writer.absent(B, "unused")
    with pytest.raises(ValueError, match="twice"):
      writer.write(B, np.zeros(2))
    with pytest.raises(UserError, match="complex128, which"):
      writer.write(Key("eval", "output", "c"), np.zeros(2, complex))


def test_nothing_is_left_after_an_exception(path):
  def interrupted():
    with RecordingWriter(path, HEADER) as writer:
      writer.write(A, np.zeros(2))
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    interrupted()
  assert list(path.parent.iterdir()) == []


def test_arrays_are_on_disk_before_the_recording_is_closed(path, monkeypatch):
  monkeypatch.setattr(appending, "_IN_FLIGHT", 1 << 20)
  with RecordingWriter(path, HEADER) as writer:
    for i in range(3):
      writer.write(Key("eval", "output", str(i)), np.full(1 << 19, float(i)))
    (partial,) = path.parent.iterdir()
    assert partial.stat().st_size >= 2 * (4 << 20)
    assert not path.exists()
  assert path.exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(path):
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (6 << 20, limits[1]))
  try:
    with pytest.raises(UserError, match=f"cannot write {re.escape(str(path))}: File too large"):
      write(path, {Key("eval", "output", str(i)): RNG.normal(size=1 << 17) for i in range(9)})
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert list(path.parent.iterdir()) == []


def test_what_is_the_same_is_in_the_file_once(path):
  large, small = RNG.normal(size=[100, 200]), RNG.normal(size=5)
  other = large.copy()
  other[-1, -1] = np.nextafter(other[-1, -1], 9)
  arrays = {
    "a": large, "b": large.copy(), "c": other, "d": large.reshape(200, 100),
    "e": large.view(np.int64), "f": small, "g": small,
  }  # fmt: skip
  arrays = {Key("eval", "output", name): array for name, array in arrays.items()}
  write(path, arrays)
  assert set(safetensors.torch.load_file(path)) == {str(key) for key in arrays if key.name != "b"}
  recording = Recording(path)
  assert recording.keys() == list(arrays)
  for key, array in arrays.items():
    got = recording.read(key)
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(got, array)


def damaged(path):
  """Every way to cut the file short, and a flip of one bit in each kind of place in it."""
  whole = path.read_bytes()
  header = int.from_bytes(whole[:8], "little") + 8
  text_end = len(whole[:header].rstrip())
  for size in (0, 4, 8, 100, text_end - 1, header - 1, header, len(whole) - 1):
    yield whole[:size]
  yield whole + b"\0"
  flips = {0, 3, 7, *RNG.integers(8, text_end, 300), *RNG.integers(header, len(whole), 20)}
  for place in flips:
    flipped = bytearray(whole)
    flipped[place] ^= 1 << int(RNG.integers(8))
    yield bytes(flipped)


def read_all(path):
  recording = Recording(path)
  return [(key, recording.read(key).tobytes()) for key in recording]


def test_truncated_and_flipped_files_are_refused_in_one_line(path, monkeypatch):
  monkeypatch.setattr(container, "RESERVED", 2048)
  write(path, {A: RNG.normal(size=30), B: np.arange(7)})
  count = 0
  for data in damaged(path):
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
      read_all(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    count += 1
  assert count > 250


def test_other_files_and_versions_are_refused(path):
  with pytest.raises(UserError, match="No such file"):
    Recording(path)
  safetensors.torch.save_file({"a": torch.zeros(2)}, path)
  with pytest.raises(UserError, match="no recording"):
    Recording(path)
  write(path, {A: np.zeros(2)})
  path.write_bytes(path.read_bytes().replace(b'"transplant":"1"', b'"transplant":"2"'))
  with pytest.raises(UserError, match="no recording of version 1"):
    Recording(path)


@pytest.mark.parametrize("header", ["[1]", "3", '{"a": 1}', '{"__metadata__": 3}', "{"])
def test_headers_of_another_kind_are_refused(path, header):
  path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
  with pytest.raises(UserError, match="no recording, or is damaged in its header"):
    Recording(path)


def test_damage_is_found_in_the_array_that_is_read_and_in_no_other(path):
  write(path, {A: np.zeros(10), B: np.zeros(10)})
  data = bytearray(path.read_bytes())
  data[-1] ^= 1
  path.write_bytes(data)
  recording = Recording(path)
  recording.read(A)
  with pytest.raises(UserError, match=re.escape(f"damaged at {B}")):
    recording.read(B)


def test_tiers(path):
  big, small = RNG.normal(size=1000), RNG.normal(size=3)
  weight = Key("init", "parameter", "w")
  arrays = {A: big, B: small, weight: big}

  recording = Recording(write(path, arrays, Tier.STRUCTURE))
  assert recording.shape(A) == (1000,)
  assert recording.dtype(A) == np.float64
  for read in (recording.read, recording.statistics):
    with pytest.raises(UserError, match="record it with the tier"):
      read(A)

  recording = Recording(write(path, arrays, Tier.STATISTICS))
  assert recording.form(A) == Tier.STATISTICS
  with pytest.raises(UserError, match="tier full"):
    recording.read(A)
  assert_same(recording.statistics(A), Statistics.of(big))
  np.testing.assert_array_equal(recording.read(B), small)
  np.testing.assert_array_equal(recording.read(weight), big)
  assert path.stat().st_size < container.RESERVED + 12000

  assert_same(Recording(write(path, arrays)).statistics(A), Statistics.of(big))


def assert_same(a, b):
  np.testing.assert_array_equal(a.vector(), b.vector())


def test_statistics_are_those_of_numpy():
  x = RNG.normal(3, 2, [70, 50, 90]).astype(np.float32)  # More than one block.
  x[0, :3, 0] = np.nan, np.inf, -np.inf
  x[1, :2, 0] = np.inf
  finite = x[np.isfinite(x)].astype(np.float64)
  got = Statistics.of(x)
  assert (got.count, got.nan, got.positive_infinite, got.negative_infinite) == (x.size, 1, 3, 1)
  assert (got.minimum, got.maximum) == (finite.min(), finite.max())
  np.testing.assert_allclose([got.mean, got.rms], [finite.mean(), np.sqrt((finite**2).mean())])
  assert np.isin(got.samples, x.astype(np.float64)).mean() > 0.99
  assert Statistics.of(np.zeros([0, 2])).count == 0
  nothing = Statistics.of(np.full(3, np.nan))
  assert (nothing.nan, nothing.mean, nothing.maximum) == (3, 0, 0)


def projections(x):
  return Statistics.of(x).projections


def test_projections_move_with_any_element_and_any_exchange():
  x = RNG.normal(size=4096 * 150)  # More than two blocks, whole rows.
  before = projections(x)
  for _ in range(8):
    i, j = RNG.integers(0, x.size, 2)
    changed, exchanged = x.copy(), x.copy()
    changed[i] += 1e-6
    exchanged[[i, j]] = x[[j, i]]
    assert np.abs(projections(changed) - before).min() > 1e-7
    assert np.abs(projections(exchanged) - before).max() > 1e-3 * abs(x[i] - x[j])
  for other in (x[::-1], np.roll(x, 4096), np.roll(x, 1), x.reshape(600, 1024).T):
    assert np.abs(projections(other) - before).max() > 1


def test_projections_see_what_is_small_beside_the_mean_and_not_what_is_not_finite():
  x = np.ones(4096 * 10)
  assert np.abs(projections(x)).max() < x.size / 20  # Signs: the mean all but cancels.
  x[5:9] = np.nan, np.inf, -np.inf, 0
  zeros = np.where(np.isfinite(x), x, 0)
  np.testing.assert_array_equal(projections(x), projections(zeros))


def test_projections_of_equal_values_are_equal_whatever_the_layout():
  x = RNG.normal(size=[30, 40])
  np.testing.assert_array_equal(projections(np.asfortranarray(x)), projections(x))
  np.testing.assert_allclose(projections(3 * x), 3 * projections(x), rtol=1e-12)


def test_reading_needs_no_framework():
  code = (
    "import sys, official.parity.recording, official.parity.case, official.parity.keys;"
    "print([m for m in ('tensorflow', 'torch', 'tf_keras') if m in sys.modules])"
  )
  out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert json.loads(out.stdout) == []


def test_reading_maps_one_array_at_a_time(path):
  size = 64 << 20
  write(path, {Key("eval", "output", str(i)): np.zeros(size // 8) for i in range(4)})
  recording = Recording(path)
  before = _mapped(path)
  arrays = [recording.read(key) for key in recording]
  assert _mapped(path) - before == 4
  del arrays
  assert _mapped(path) == before


def _mapped(path):
  """How many parts of the file this process has mapped."""
  with open(f"/proc/{os.getpid()}/maps") as maps:
    return sum(str(path) in line for line in maps)
