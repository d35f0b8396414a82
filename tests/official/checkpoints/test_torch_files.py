"""Files that torch writes, against what torch reads from them, bit for bit."""

import collections
import io
import itertools
import pickle
import struct
import subprocess
import sys
import types
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from official.checkpoints import torch_legacy
from official.checkpoints.formats import open_checkpoint
from official.cli.errors import UserError
from tests.official.checkpoints import pickled

FORMATS = {"torch zip": {}, "torch legacy": {"_use_new_zipfile_serialization": False}}


OLD = pickled.tensor(memory=pickled.storage().replace(b"X\7\0\0\0storage", b"U\7storage"),
                     hooks=pickled.NONE)  # fmt: skip


def network():
  torch.manual_seed(0)
  return nn.Sequential(
    nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
  )


def trained():
  model = network()
  optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, amsgrad=True)
  scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 7])
  for _ in range(2):
    optimizer.zero_grad()
    model(torch.randn(2, 3, 5, 5)).square().sum().backward()
    optimizer.step()
    scheduler.step()
  return model, optimizer, scheduler


def whole_training():
  model, optimizer, scheduler = trained()
  return {
    "epoch": 3,
    "best": np.float64(0.5),
    "model": model.state_dict(),
    "optimizer": optimizer.state_dict(),
    "scheduler": scheduler.state_dict(),
    "rng": torch.get_rng_state(),
    "numpy": np.arange(6, dtype=">i4").reshape(2, 3),
    "args": types.SimpleNamespace(lr=0.1, name="a"),
    "seen": collections.defaultdict(dict, {0: {"x": torch.ones(2)}}),
  }


def nested_averages():
  model = network()
  return {
    "ema": {"module": model.half().state_dict(), "updates": 7},
    "teachers": [model.state_dict()],
  }


def all_dtypes():
  torch.manual_seed(1)
  kinds = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.complex128, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
  )
  return {str(kind): (torch.randn(3, 5) * 9).abs().to(kind) for kind in kinds}


def new_dtypes():
  """Those without a storage class of their own; torch cannot read its own legacy files of them."""
  kinds = (
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
    *(torch.uint16, torch.uint32, torch.uint64),
  )
  return {str(kind): torch.arange(1, 7).to(kind)[1:] for kind in kinds}


def views_of_one_storage():
  base = torch.arange(24.0)
  grid = base.view(4, 6)
  return {
    "base": base,
    "grid": grid,
    "transposed": grid.t(),
    "strided": grid[1:, ::2],
    "last": base[23:],
    "expanded": torch.ones(3, 1).expand(3, 50),
    "diagonal": torch.eye(4).diagonal(),
    "scalar": torch.tensor(3.5),
    "of a view": base[5],
    "empty": torch.empty(0, 3),
    "empty view": base[24:],
    "deep": base[:2].view((1,) * 31 + (2,)),
    "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
    "imaginary": torch.randn(3, dtype=torch.complex64).imag,
    "negative": torch.randn(3, dtype=torch.complex64).conj().imag,
    "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
  }


def parameters():
  tied = nn.Parameter(torch.randn(3, 2))
  tagged = nn.Parameter(torch.ones(2))
  tagged.group = "no decay"
  ordered = collections.OrderedDict(a=tied, b=tied, c=nn.Parameter(torch.ones(2), False), d=tagged)
  plain = torch.ones(3)
  plain.note = "a tensor with an attribute"
  return {"ordered": ordered, "plain": plain, "buffer": nn.Buffer(torch.zeros(2))}


def one_tensor():
  return torch.randn(2, 3)


STYLES = (
  whole_training,
  nested_averages,
  all_dtypes,
  views_of_one_storage,
  parameters,
  one_tensor,
  lambda: network().state_dict(),
  lambda: list(network().parameters()),
)


def leaves(value, name=""):
  """Arrays in what torch.load returns, by name: told anew here, not by our flatten."""
  if isinstance(value, torch.Tensor | np.ndarray):
    yield name or "array", value
  elif isinstance(value, types.SimpleNamespace):
    yield from leaves(vars(value), name)
  elif isinstance(value, dict | list | tuple):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
      yield from leaves(item, f"{name}.{key}" if name else str(key))


def bits(value):
  """Shape, type and bytes."""
  if isinstance(value, torch.Tensor):
    value = value.detach().resolve_conj().resolve_neg().contiguous()
    kind = str(value.dtype).removeprefix("torch.")
    return tuple(value.shape), kind, value.reshape(-1).view(torch.uint8).numpy().tobytes()
  value = value.astype(value.dtype.newbyteorder("="))
  return value.shape, value.dtype.name, value.tobytes()


@pytest.mark.parametrize(
  ("style", "format_name"), [*itertools.product(STYLES, FORMATS), (new_dtypes, "torch zip")]
)
def test_bit_exact(tmp_path, style, format_name):
  path = tmp_path / "any name"
  torch.save(style(), path, **FORMATS[format_name])
  expected = dict(leaves(torch.load(path, weights_only=False)))
  checkpoint = open_checkpoint(path)
  assert checkpoint.format == format_name
  assert {name: bits(array.read()) for name, array in checkpoint.arrays.items()} == {
    name: bits(value) for name, value in expected.items()
  }
  assert list(checkpoint.arrays) == list(expected)
  for array in checkpoint.arrays.values():
    content = array.read()
    assert (content.shape, content.dtype, content.size) == (array.shape, array.dtype, array.size)
    assert content.flags.writeable
    assert content.flags.c_contiguous
    assert content.dtype.isnative


def test_metadata(tmp_path):
  torch.save(whole_training(), tmp_path / "a.pt")
  metadata = open_checkpoint(tmp_path / "a.pt").metadata
  assert metadata["epoch"] == 3
  assert metadata["best"] == 0.5
  assert metadata["args.name"] == "a"
  assert metadata["optimizer.param_groups.0.params"] == [0, 1, 2, 3, 4]
  assert metadata["optimizer.param_groups.0.betas"] == (0.9, 0.999)
  assert metadata["scheduler.milestones.3"] == 1


def test_below(tmp_path):
  torch.save(nested_averages(), tmp_path / "a.pt")
  checkpoint = open_checkpoint(tmp_path / "a.pt")
  assert list(checkpoint.below("ema.module")) == list(network().state_dict())
  with pytest.raises(UserError, match=r"has no arrays under 'emma'; did you mean 'ema'\?"):
    checkpoint.below("emma")
  with pytest.raises(UserError, match=r"has no arrays under 'xyz' \(it has 'ema', 'teachers'\)"):
    checkpoint.below("xyz")


@pytest.fixture
def yolo(monkeypatch):
  """Classes of a module `models.yolo`, as WongKinYiu's repositories pickle them."""
  module = types.ModuleType("models.yolo")

  class Detect(nn.Module):
    stride = None

    def __init__(self):
      super().__init__()
      self.m = nn.ModuleList([nn.Conv2d(4, 6, 1), nn.Conv2d(8, 6, 1)])
      self.register_buffer("anchors", torch.arange(4.0))
      self.register_buffer("unsaved", torch.ones(9), persistent=False)
      self.register_buffer("nothing", None)
      self.shape = None

  class Model(nn.Module):
    def __init__(self):
      super().__init__()
      self.yaml = {"nc": 80, "anchors": [[1, 2]]}
      self.names = ["cat", "dog"]
      self.stride = torch.tensor([8.0, 16.0])
      self.model = nn.Sequential(network(), Detect(), nn.MultiheadAttention(4, 2))
      self.again = self.model[1]
      self.scale = nn.Parameter(torch.tensor(2.0))
      self.skipped = None
      self.register_parameter("missing", None)

  for kind in (Detect, Model):
    kind.__module__ = "models.yolo"
    kind.__qualname__ = kind.__name__
    setattr(module, kind.__name__, kind)
  monkeypatch.setitem(sys.modules, "models", types.ModuleType("models"))
  monkeypatch.setitem(sys.modules, "models.yolo", module)
  return module


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("format_name", FORMATS)
def test_whole_modules_have_the_names_of_their_state_dict(tmp_path, yolo, monkeypatch, format_name):
  path = tmp_path / "yolov7.pt"
  model = yolo.Model()
  torch.save({"model": model, "ema": None, "epoch": -1}, path, **FORMATS[format_name])
  monkeypatch.delitem(sys.modules, "models.yolo")  # Nobody needs the classes.
  checkpoint = open_checkpoint(path)
  state = model.state_dict()
  found = checkpoint.below("model")
  assert list(found) == list(state)
  assert "model.1.unsaved" not in found
  assert all(bits(array.read()) == bits(state[name]) for name, array in found.items())
  assert len(found) == len(checkpoint.arrays)
  metadata = checkpoint.metadata
  assert metadata["model.names"] == ["cat", "dog"]
  assert metadata["model.model.0.0.kernel_size"] == (3, 3)
  assert metadata["model.model.0.1.eps"] == 1e-5
  assert metadata["model.stride"] == "(float32 (2,), not of the module's state)"
  assert metadata["model.yaml"] == "(dict)"
  assert metadata["model.skipped"] is None
  assert metadata["model.model.1.shape"] is None
  assert not [name for name in metadata if "._" in name]


def test_big_endian(tmp_path):
  """Written on a big-endian machine: the bytes of every element are turned."""
  little = {"f": np.arange(4, dtype="<f4"), "c": np.arange(2, dtype="<c8") * (1 + 2j)}
  memory = pickled.storage("1", 2, "ComplexFloatStorage")
  complexes = pickled.tensor(shape=pickled.tuple_of(pickled.number(2)), memory=memory)
  content = pickled.dict_of(pickled.text("f"), pickled.tensor(), pickled.text("c"), complexes)
  storages = {str(i): a.byteswap().tobytes() for i, a in enumerate(little.values())}
  data = pickled.torch_zip(pickled.program(content), storages)
  path = tmp_path / "big.pt"
  with zipfile.ZipFile(io.BytesIO(data)) as archive:
    contents = {name: archive.read(name) for name in archive.namelist()}
  path.write_bytes(
    pickled.zipped(contents | {"archive/byteorder": b"big", "archive/version": b"3"})
  )
  arrays = open_checkpoint(path).arrays
  for name, value in torch.load(path).items():
    assert bits(arrays[name].read()) == bits(value) == bits(little[name])


def test_python_2(tmp_path):
  """As torch 0.4 wrote with Python 2: byte strings, a list of pairs, hooks that are None."""
  content = pickled.call("collections", "OrderedDict", b"](](" + pickled.text("w") + OLD + b"ee")
  path = tmp_path / "a.pt"
  numbers = np.arange(4, dtype="<f4")
  entries = {"archive/version": b"3"}
  path.write_bytes(pickled.torch_zip(pickled.program(content), {"0": numbers.tobytes()}, entries))
  assert torch.load(path)["w"].tolist() == open_checkpoint(path).arrays["w"].read().tolist()


def test_tensors_of_version_3_with_flags(tmp_path):
  memory = pickled.storage(size=16, kind="UntypedStorage", module="torch.storage")
  place = (pickled.number(2), pickled.tuple_of(pickled.number(6)), pickled.tuple_of(b"K\1"))
  hooks = pickled.call("collections", "OrderedDict")
  arguments = (memory, *place, pickled.FALSE, hooks, pickled.name("torch", "uint16"), b"}")
  content = pickled.program(pickled.call("torch._utils", "_rebuild_tensor_v3", *arguments))
  path = tmp_path / "a.pt"
  numbers = np.arange(8, dtype="<u2").tobytes()
  path.write_bytes(pickled.torch_zip(content, {"0": numbers}, {"archive/version": b"3"}))
  assert bits(open_checkpoint(path).arrays["array"].read()) == bits(torch.load(path))


@pytest.mark.parametrize(("offset", "size"), [(1, 2), (0, 4), (4, 0), (2, 3), (-1, 2), (3, -1)])
def test_storages_that_are_parts_of_others(tmp_path, offset, size):
  """As torch 0.3 wrote views of storages."""
  part = pickled.tuple_of(pickled.text("8"), pickled.number(offset), pickled.number(size))
  kind = pickled.name("torch", "FloatStorage")
  whole = (pickled.text("storage"), kind, pickled.text("7"), pickled.text("cpu"), pickled.number(4))
  memory = pickled.tuple_of(*whole, part) + pickled.PERSID
  tensor = pickled.tensor(shape=pickled.tuple_of(pickled.number(max(size, 0))), memory=memory)
  system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
  head = b"".join(pickle.dumps(value, 2) for value in (torch_legacy.MAGIC, 1001, system))
  numbers = np.arange(4, dtype="<f4").tobytes()
  path = tmp_path / "a.pt"
  tail = pickle.dumps(["7"], 2) + struct.pack("<q", 4) + numbers
  path.write_bytes(head + pickled.program(tensor) + tail)
  if 0 <= offset <= offset + size <= 4:
    found = open_checkpoint(path).arrays["array"].read().tolist()
    assert found == torch.load(path).tolist() == list(range(offset, offset + size))
  else:
    with pytest.raises(UserError, match="it has a storage that is a part of another, but outside"):
      open_checkpoint(path)


@pytest.mark.parametrize("make", [all_dtypes, views_of_one_storage])
@pytest.mark.parametrize("protocol", [2, 4])
def test_tensors_that_were_pickled_alone(tmp_path, make, protocol):
  """As MaskFormer's tools write Swin's weights: each tensor carries its storage."""
  path = tmp_path / "a.pkl"
  path.write_bytes(pickle.dumps({"model": make()}, protocol))
  expected = pickle.loads(path.read_bytes())["model"]
  found = open_checkpoint(path).below("model")
  assert list(found) == list(expected)
  for name, tensor in expected.items():
    assert bits(found[name].read()) == bits(tensor), name


def test_a_storage_that_was_cut_short(tmp_path):
  content = pickle.dumps({"a": torch.ones(1000)}, 4)
  whole = content.index(b"\x80?\0\0" * 2)
  path = tmp_path / "a.pkl"
  path.write_bytes(content[: whole + 100])
  with pytest.raises(UserError, match="cannot read"):
    open_checkpoint(path)
  # Its length as the pickle says, but of fewer numbers.
  length = struct.pack("<q", 1000)
  path.write_bytes(content.replace(length, struct.pack("<q", 999)))
  with pytest.raises(UserError, match="is not as its pickle says"):
    open_checkpoint(path)


def test_bfloat16_is_of_ml_dtypes(tmp_path):
  torch.save({"a": torch.tensor([1.0, -2.5]).bfloat16()}, tmp_path / "a.pt")
  array = open_checkpoint(tmp_path / "a.pt").arrays["a"]
  assert array.dtype == ml_dtypes.bfloat16
  assert array.read().astype("float32").tolist() == [1.0, -2.5]


def test_arrays_are_read_only_when_asked_for(tmp_path):
  """A damaged storage is no obstacle to the others; who reads it is told."""
  path = tmp_path / "a.pt"
  torch.save({"good": torch.ones(64), "bad": torch.full((64,), 7.0)}, path)
  data = bytearray(path.read_bytes())
  data[data.index(torch.full((64,), 7.0).numpy().tobytes()) + 5] ^= 1
  path.write_bytes(data)
  arrays = open_checkpoint(path).arrays
  assert arrays["good"].read().sum() == 64
  with pytest.raises(UserError, match=r"^cannot read 'bad' of .*a.pt: 'data/1' in it is damaged"):
    arrays["bad"].read()


def test_without_checksums(tmp_path):
  try:
    torch.serialization.set_crc32_options(False)
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pt")
  finally:
    torch.serialization.set_crc32_options(True)
  assert open_checkpoint(tmp_path / "a.pt").arrays["a"].read().sum() == 3


def test_neither_torch_nor_tensorflow_is_needed(tmp_path):
  torch.save({"a": torch.ones(3).bfloat16()}, tmp_path / "a.pt")
  code = """
import sys
sys.modules["torch"] = sys.modules["tensorflow"] = None
from official.checkpoints import torch_legacy
from official.checkpoints.formats import open_checkpoint
print(open_checkpoint(sys.argv[1]).arrays["a"].read().sum())
"""
  command = [sys.executable, "-c", code, str(tmp_path / "a.pt")]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert (done.stdout, done.stderr) == ("3\n", "")


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: torch.eye(3).to_sparse(), "it has a sparse tensor, which is not read; save"),
    (lambda: torch.empty(3, device="meta"), "it has a tensor without content"),
    (lambda: {"f": print}, None),
    (lambda: np.array([{}], dtype=object), "numpy array of type 'O8'"),
    (lambda: np.array(["a"]), "numpy array of type 'U1'"),
    (lambda: nn.Sequential(nn.ReLU()), None),
  ],
)
def test_what_is_not_read_is_said(tmp_path, make, message):
  torch.save(make(), tmp_path / "a.pt")
  if message is None:
    assert not open_checkpoint(tmp_path / "a.pt").arrays
    return
  with pytest.raises(UserError, match=message):
    open_checkpoint(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_is_refused(tmp_path):
  # Parts of it are compressed, which is not the point.
  torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "a.pt")
  with pytest.raises(UserError, match="it is a TorchScript program; save its weights as"):
    open_checkpoint(tmp_path / "a.pt")
