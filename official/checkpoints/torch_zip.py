"""What `torch.save` writes since torch 1.6: a zip of a pickle and of the storages' raw bytes."""

import zlib
from typing import Any

import numpy as np

from official.checkpoints.pickles.machine import read_pickle
from official.checkpoints.pickles.torch_types import storage_dtype
from official.checkpoints.pickles.values import Storage
from official.checkpoints.problems import UNSUPPORTED, UNTRUSTED, Unreadable, shown
from official.checkpoints.zip_index import Entry, read_index


def read_torch_zip(data: memoryview) -> Any:
  """The pickled value of the file `data`, its tensors as `LazyArray`s.

  Raises:
    Unreadable: it is damaged, no file of torch, or not allowed.
  """
  return _Archive(data).value()


class _Archive:
  def __init__(self, data: memoryview) -> None:
    self._data = data
    self._entries = read_index(data)
    self._root = _root(self._entries)
    self._swapped = self._byte_order() == b"big"
    self._storages: dict[str, Storage] = {}

  def value(self) -> Any:
    pickled = self._checked("data.pkl")
    value, end = read_pickle(pickled, 0, self._storage)
    if end != len(pickled):
      raise Unreadable("there is more after its pickle", UNTRUSTED)
    return value

  def _byte_order(self) -> bytes:
    if f"{self._root}/byteorder" not in self._entries:
      return b"little"
    order = bytes(self._checked("byteorder"))
    if order not in (b"little", b"big"):
      raise Unreadable("its byte order is neither little nor big")
    return order

  def _checked(self, name: str) -> memoryview:
    """The content of an entry, once its checksum has been found right.

    A checksum of 0 is none: `torch.serialization.set_crc32_options(False)`.
    """
    entry = self._entry(name)
    content = self._data[entry.start : entry.start + entry.size]
    if entry.crc and zlib.crc32(content) != entry.crc:
      raise Unreadable(f"{shown(name)} in it is damaged: its checksum differs")
    return content

  def _entry(self, name: str) -> Entry:
    entry = self._entries.get(f"{self._root}/{name}")
    if entry is None:
      raise Unreadable(f"{shown(name)} is missing in it")
    if not entry.stored:
      raise Unreadable(f"{shown(name)} in it is compressed or encrypted", UNSUPPORTED)
    return entry

  def _storage(self, identity: Any) -> Storage:
    match identity:
      case ("storage", kind, str(key), str(), int(size)):
        return self._known(key, storage_dtype(kind), size)
    raise Unreadable("its pickle refers to something that is no storage", UNTRUSTED)

  def _known(self, key: str, dtype: np.dtype, size: int) -> Storage:
    if key not in self._storages:
      self._storages[key] = self._new_storage(key, dtype, size)
    return self._storages[key].as_stated(key, dtype, size)

  def _new_storage(self, key: str, dtype: np.dtype, size: int) -> Storage:
    entry = self._entry(f"data/{key}")
    if size * dtype.itemsize != entry.size:
      raise Unreadable(
        f"storage {shown(key)} has {entry.size} bytes where its pickle says {size} {dtype}"
      )
    checked: list[memoryview] = []

    def load(seen_as: np.dtype) -> memoryview | np.ndarray:
      if not checked:
        checked.append(self._checked(f"data/{key}"))
      return _swap(checked[0], seen_as) if self._swapped else checked[0]

    return Storage(dtype, size, load)


def _swap(content: memoryview, dtype: np.dtype) -> np.ndarray:
  unit = dtype.itemsize // (2 if dtype.kind == "c" else 1)
  return np.frombuffer(content, f"u{unit}").byteswap()


def _root(entries: dict[str, Entry]) -> str:
  """The folder that torch puts everything in."""
  roots = [name.removesuffix("/data.pkl") for name in entries if name.endswith("/data.pkl")]
  if len(roots) != 1 or "/" in roots[0]:
    raise Unreadable("it is a zip, but not of torch (no single data.pkl)", "name another file")
  if f"{roots[0]}/constants.pkl" in entries:
    raise Unreadable("it is a TorchScript program", UNSUPPORTED)
  return roots[0]
