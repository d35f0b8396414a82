"""Writes pickles and zips by hand, byte for byte: honest ones and others."""

import io
import struct
import zipfile

MARK, STOP, REDUCE, NEWOBJ, BUILD, EMPTY = b"(", b".", b"R", b"\x81", b"b", b")"
NONE, TRUE, FALSE = b"N", b"\x88", b"\x89"
TUPLE, STACK_GLOBAL, PERSID = b"t", b"\x93", b"Q"


def program(*opcodes: bytes, protocol: int = 2) -> bytes:
  """A whole pickle."""
  return b"\x80" + bytes([protocol]) + b"".join(opcodes) + STOP


def name(module: str, attribute: str) -> bytes:
  """GLOBAL."""
  return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
  data = value.encode()
  return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
  return b"J" + struct.pack("<i", value)


def long(value: int) -> bytes:
  data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
  return b"\x8a" + bytes([len(data)]) + data


def raw(value: bytes) -> bytes:
  """BINBYTES."""
  return b"B" + struct.pack("<I", len(value)) + value


def tuple_of(*items: bytes) -> bytes:
  return MARK + b"".join(items) + TUPLE


def list_of(*items: bytes) -> bytes:
  return b"](" + b"".join(items) + b"e"


def dict_of(*items: bytes) -> bytes:
  """Keys and values in turn."""
  return b"}(" + b"".join(items) + b"u"


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
  return name(module, attribute) + tuple_of(*arguments) + REDUCE


def instance(module: str, attribute: str, state: bytes = b"") -> bytes:
  """NEWOBJ, and BUILD where there is a state."""
  return name(module, attribute) + EMPTY + NEWOBJ + (state + BUILD if state else b"")


def storage(
  key: str = "0", size: int = 4, kind: str = "FloatStorage", module: str = "torch"
) -> bytes:
  """A storage of a torch zip."""
  parts = (text("storage"), name(module, kind), text(key), text("cpu"), number(size))
  return tuple_of(*parts) + PERSID


def tensor(
  offset: bytes = number(0),
  shape: bytes = tuple_of(number(4)),
  strides: bytes = tuple_of(number(1)),
  memory: bytes = storage(),
  flag: bytes = FALSE,
  hooks: bytes = call("collections", "OrderedDict"),
) -> bytes:
  """A tensor of a torch zip."""
  return call("torch._utils", "_rebuild_tensor_v2", memory, offset, shape, strides, flag, hooks)


def torch_zip(
  pickled: bytes, storages: dict[str, bytes] | None = None, extra: dict[str, bytes] | None = None
) -> bytes:
  """What torch.save would write around `pickled`; `extra` are further entries by full name."""
  contents = {"archive/data.pkl": pickled, "archive/byteorder": b"little"}
  stored = {"0": bytes(16)} if storages is None else storages
  contents |= {f"archive/data/{key}": content for key, content in stored.items()}
  return zipped(contents | (extra or {}))


def zipped(contents: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", method) as archive:
    for path, content in contents.items():
      archive.writestr(path, content)
  return file.getvalue()
