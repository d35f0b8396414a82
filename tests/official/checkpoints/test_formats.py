"""Good files of the formats other than torch's, against the libraries that write them."""

import collections
import pickle
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.torch
import torch

from official.checkpoints.darknet import Cursor
from official.checkpoints.formats import open_checkpoint
from official.cli.errors import UserError
from tests.official.checkpoints.pickled import (
  BUILD,
  EMPTY,
  FALSE,
  NEWOBJ,
  NONE,
  call,
  dict_of,
  instance,
  name,
  number,
  program,
  raw,
  text,
  tuple_of,
)


def same(array, expected):
  content = array.read()
  return (content.dtype, content.shape, content.tobytes()) == (
    expected.dtype,
    expected.shape,
    expected.tobytes(),
  )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_detectron2(tmp_path, protocol):
  """As its model zoo: names at two levels, Fortran order, other byte orders, all kinds."""
  dice = np.random.default_rng(0)
  model = {
    "backbone.stem.conv1.weight": dice.normal(size=(8, 3, 7, 7)).astype("f4"),
    "large": dice.normal(size=(70, 30)),
    "fortran": np.asfortranarray(dice.normal(size=(3, 4))),
    "strided": np.arange(24).reshape(4, 6)[:, ::2],
    "big": np.arange(5, dtype=">f8"),
    "half": np.ones(3, "f2"),
    "scalar": np.array(7, "i8"),
    "empty": np.zeros((0, 3), "u1"),
    "flags": np.array([True, False]),
    "complex": np.array([1 + 2j]),
  }
  metadata = {"__author__": "Detectron2", "best": np.float32(0.5), "names": {"a", "b"}}
  path = tmp_path / "model_final.pkl"
  path.write_bytes(pickle.dumps({"model": model, **metadata}, protocol))
  checkpoint = open_checkpoint(path)
  assert checkpoint.format == "pickle"
  found = checkpoint.below("model")
  assert list(found) == list(model)
  for key, value in model.items():
    assert same(found[key], value.astype(value.dtype.newbyteorder("=")))
  assert dict(checkpoint.metadata) == metadata


def test_pickle_of_python_2(tmp_path):
  """Byte strings where Python 3 has text or bytes, and OrderedDicts as lists of pairs."""

  def old(value):
    return b"U" + bytes([len(value)]) + value

  def long(value):
    return b"T" + struct.pack("<I", len(value)) + value

  kind = call("numpy", "dtype", old(b"f4"), number(0), number(1))
  kind += tuple_of(number(3), old(b"<"), NONE, NONE, NONE, number(-1), number(-1), number(0))
  kind += BUILD

  def array(values, write):
    start = call(
      "numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), tuple_of(number(0)),
      old(b"b")
    )  # fmt: skip
    shape = tuple_of(number(len(values)))
    return start + tuple_of(number(1), shape, kind, FALSE, write(values.tobytes())) + BUILD

  small, large = np.arange(3, dtype="<f4"), np.arange(500, dtype="<f4") - 7
  pairs = b"](](" + old(b"small") + array(small, old) + b"e"
  pairs += b"](" + old(b"large") + array(large, long) + b"ee"
  path = tmp_path / "R-50.pkl"
  path.write_bytes(program(call("collections", "OrderedDict", pairs)))
  arrays = open_checkpoint(path).arrays
  assert list(arrays) == ["small", "large"]
  assert same(arrays["small"], small)
  assert same(arrays["large"], large)


def test_values_of_python(tmp_path):
  """What training checkpoints hold besides arrays."""
  content = dict_of(
    *(text("path"), call("pathlib", "PosixPath", text("/"), text("a"), text("b.yaml"))),
    *(text("args"), instance("argparse", "Namespace", dict_of(text("lr"), number(3)))),
    *(text("point"), name("models", "Point") + tuple_of(number(1), number(2)) + b"\x81"),
    *(text("table"), name("models", "D") + EMPTY + NEWOBJ + number(5) + number(6) + b"s"),
    *(text("bare"), instance("models", "B", NONE)),
    *(text("slots"), instance("models", "S", tuple_of(NONE, dict_of(text("a"), number(1))))),
    *(text("plain"), instance("models", "S", tuple_of(dict_of(text("b"), number(2)), NONE))),
    *(text("queue"), call("collections", "deque", b")", number(5)) + number(8) + b"a"),
    *(text("type"), name("torch", "float16")),
    *(text("where"), call("torch", "device", text("cuda"), number(1))),
    *(text("frozen"), call("__builtin__", "frozenset", b"](" + number(1) + b"e")),
    *(text("imaginary"), call("builtins", "complex", b"G" + struct.pack(">d", 1.5), number(2))),
    *(text("bytes"), call("builtins", "bytearray", raw(b"ab"))),
    *(text("many bytes"), raw(bytes(5000))),
    *(text("empty"), call("builtins", "bytes")),
    *(text("size"), call("torch", "Size", tuple_of(number(1), number(2)))),
    *(text("mixed"), b"](" + NONE + number(1) + b"e"),
    *(number(7), NONE),
    *(NONE, number(8)),
    *(tuple_of(number(1), text("x")), number(9)),
  )
  path = tmp_path / "a.pkl"
  path.write_bytes(program(content))
  assert dict(open_checkpoint(path).metadata) == {
    "path": "/a/b.yaml",
    "args.lr": 3,
    "point.0": 1,
    "point.1": 2,
    "table.5": 6,
    "slots.a": 1,
    "plain.b": 2,
    "queue": [8],
    "type": "(torch.float16)",
    "where": "cuda:1",
    "frozen": {1},
    "imaginary": 1.5 + 2j,
    "bytes": b"ab",
    "many bytes": "(5000 bytes)",
    "empty": b"",
    "size": (1, 2),
    "mixed": [None, 1],
    "7": None,
    "None": 8,
    "(1, 'x')": 9,
  }


def test_safetensors(tmp_path):
  torch.manual_seed(0)
  kinds = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32),
    *(torch.int16, torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.uint16, torch.uint32, torch.uint64, torch.complex64),
  )
  tensors = {str(kind): (torch.randn(2, 3) * 5).abs().to(kind) for kind in kinds}
  tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "odd": torch.ones(3).char()}
  path = tmp_path / "anything"
  safetensors.torch.save_file(tensors, path, {"step": "3"})
  checkpoint = open_checkpoint(path)
  assert checkpoint.format == "safetensors"
  assert checkpoint.metadata == {"step": "3"}
  assert checkpoint.arrays.keys() == tensors.keys()
  for key, value in tensors.items():
    content = checkpoint.arrays[key].read()
    assert content.shape == value.shape == checkpoint.arrays[key].shape
    assert content.dtype.name == str(value.dtype).removeprefix("torch.")
    assert content.tobytes() == value.reshape(-1).view(torch.uint8).numpy().tobytes()
    content[...] = 0  # The caller's own, even of a file that is mapped read-only.


def test_safetensors_that_begin_as_pickles_do(tmp_path):
  """The first byte is the low one of the header's length, which can be any multiple of 8."""
  path = tmp_path / "a"
  firsts = set()
  for padding in range(0, 256, 8):
    safetensors.torch.save_file({"a": torch.ones(2)}, path, {"k": "v" * padding})
    firsts.add(path.read_bytes()[0])
    assert open_checkpoint(path).arrays["a"].read().tolist() == [1, 1]
  assert 0x80 in firsts


@pytest.mark.parametrize(
  ("version", "seen"), [((0, 1, 0), struct.pack("<i", 9)), ((0, 2, 5), struct.pack("<q", 1 << 40))]
)
def test_darknet(tmp_path, version, seen):
  numbers = np.arange(30, dtype="<f4") / 7
  path = tmp_path / "a.weights"
  path.write_bytes(struct.pack("<3i", *version) + seen + numbers.tobytes())
  checkpoint = open_checkpoint(path)
  assert checkpoint.format == "darknet"
  assert same(checkpoint.arrays["weights"], numbers)
  assert tuple(checkpoint.metadata.values()) == (*version, int.from_bytes(seen, "little"))

  cursor = Cursor(path)
  assert (cursor.header.seen, cursor.left) == (int.from_bytes(seen, "little"), 30)
  assert same(cursor.take((4,), "bias"), numbers[:4])
  kernel = cursor.take((2, 3, 2, 2), "kernel")
  assert same(kernel, numbers[4:28].reshape(2, 3, 2, 2))
  with pytest.raises(UserError, match=r"a.weights is too long: 2 numbers are left over; use the"):
    cursor.finish()
  with pytest.raises(UserError, match=r"is too short: layer 9 needs 3 numbers and 2 are left; use"):
    cursor.take((3,), "layer 9")
  assert same(cursor.take((2,), "rest"), numbers[28:])
  cursor.finish()


@pytest.mark.parametrize(
  "content",
  [
    struct.pack("<3iq", 0, 2, 5, 9) + bytes(6),
    struct.pack("<3iq", 0, 2, -5, 9) + bytes(8),
    struct.pack("<3iq", 0, 2, 5, -9) + bytes(8),
    struct.pack("<3iq", 10, 2, 5, 9) + bytes(8),
    struct.pack("<3iq", 0, 0, 5, 9) + bytes(8),
    struct.pack("<3i", 0, 1, 0),
  ],
)
def test_what_darknet_did_not_write(tmp_path, content):
  path = tmp_path / "a.weights"
  path.write_bytes(content)
  with pytest.raises(UserError, match=r"a.weights: it is no .weights file of Darknet; check the"):
    Cursor(path)
  with pytest.raises(UserError, match="it is of no known format"):
    open_checkpoint(path)


def test_real_darknet_weights(shared):
  """The header of AlexeyAB's files; the numbers of layers are `tests/projects/yolo`'s matter."""
  checkpoint = open_checkpoint(shared / "data/darknet/yolo-fastest-1.1.weights")
  assert checkpoint.arrays["weights"].shape == (346_062,)
  assert dict(checkpoint.metadata) == dict(major=0, minor=2, revision=5, seen=14_231_680)
  assert np.isfinite(checkpoint.arrays["weights"].read()).all()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """A folder with a TensorFlow checkpoint, and what is in it."""
  import tensorflow as tf

  folder = tmp_path_factory.mktemp("tf")
  values = {
    "kernel": np.arange(12, dtype="f4").reshape(3, 4),
    "half": np.ones(3, ml_dtypes.bfloat16),
    "count": np.array(5, "i8"),
  }
  tracked = tf.train.Checkpoint(**{key: tf.Variable(value) for key, value in values.items()})
  tracked.text = tf.Variable("words")
  return tracked.save(str(folder / "ckpt")), values


def test_tensorflow(written):
  prefix, values = written
  for path in (
    prefix,
    f"{prefix}.index",
    f"{prefix}.data-00000-of-00001",
    prefix.rpartition("/")[0],
  ):
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "tensorflow"
    assert checkpoint.arrays.keys() == values.keys() | {"save_counter"}
    assert all(same(checkpoint.arrays[key], value) for key, value in values.items())
  assert list(checkpoint.metadata.values()) == ["(a string)"] * 2


def test_damaged_tensorflow(written, tmp_path):
  prefix, _ = written
  names = {end: (tmp_path / f"ckpt{end}") for end in (".index", ".data-00000-of-00001")}
  outcomes = collections.Counter()
  dice = np.random.default_rng(0)
  for end, path in names.items():
    with open(prefix + end, "rb") as file:
      whole = file.read()
    for other, copy in names.items():
      with open(prefix + other, "rb") as file:
        copy.write_bytes(file.read())
    for _ in range(40):
      damaged = bytearray(whole)
      damaged[dice.integers(len(whole))] ^= 1 << dice.integers(8)
      path.write_bytes(damaged[: len(whole) - dice.integers(2) * dice.integers(len(whole))])
      try:
        for array in open_checkpoint(tmp_path / "ckpt").arrays.values():
          array.read()
        outcomes["read"] += 1
      except UserError as error:
        outcomes["refused"] += str(error).isprintable()
  assert outcomes["refused"] > 40
  assert outcomes.total() == 80
