"""What `torch.save` wrote before torch 1.6: five pickles in a row, then the storages' raw bytes."""

from typing import Any

import numpy as np

from official.checkpoints.pickles.machine import read_pickle
from official.checkpoints.pickles.torch_types import storage_dtype
from official.checkpoints.pickles.values import Global, Storage
from official.checkpoints.problems import UNSUPPORTED, UNTRUSTED, Unreadable, shown

MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_COUNT_BYTES = 8


def read_torch_legacy(data: memoryview) -> Any:
  """The pickled value of the file `data`, its tensors as `LazyArray`s.

  Raises:
    Unreadable: it is damaged, of another version, or not allowed.
  """
  return _Legacy(data).value


class _Legacy:
  def __init__(self, data: memoryview) -> None:
    self._data = data
    self._storages: dict[str, Storage] = {}
    self._starts: dict[str, int] = {}
    magic, position = read_pickle(data)
    version, position = read_pickle(data, position)
    system, position = read_pickle(data, position)
    if (magic, version) != (MAGIC, _VERSION) or not isinstance(system, dict):
      raise Unreadable("it is no torch file of version 1001", UNSUPPORTED)
    if system.get("little_endian") is not True:
      raise Unreadable("it was saved on a big-endian machine", UNSUPPORTED)
    self.value, position = read_pickle(data, position, self._persistent)
    keys, position = read_pickle(data, position)
    self._place(keys, position)

  def _persistent(self, identity: Any) -> Any:
    match identity:
      case ("storage", kind, str(key), str(), int(size), view):
        storage = self._known(key, storage_dtype(kind), size)
        return storage if view is None else _part(storage, view)
      case ("module", Global() as kind, *_):  # With the class's source, of which we make no use.
        return kind
    raise Unreadable("its pickle refers to something that is no storage", UNTRUSTED)

  def _known(self, key: str, dtype: np.dtype, size: int) -> Storage:
    if key not in self._storages:
      self._storages[key] = self._new_storage(key, dtype, size)
    return self._storages[key].as_stated(key, dtype, size)

  def _new_storage(self, key: str, dtype: np.dtype, size: int) -> Storage:
    if size < 0:
      raise Unreadable(f"storage {shown(key)} has {size} elements")

    def load(_: np.dtype) -> memoryview:
      start = self._starts[key]
      return self._data[start : start + size * dtype.itemsize]

    return Storage(dtype, size, load)

  def _place(self, keys: Any, position: int) -> None:
    """Finds where each storage begins: each is a count of elements and then its bytes."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
      raise Unreadable("its list of storages is damaged")
    for key in keys:
      storage = self._storages.get(key)
      count = int.from_bytes(self._data[position : position + _COUNT_BYTES], "little", signed=True)
      if storage is None or count != storage.size or key in self._starts:
        raise Unreadable(f"storage {shown(key)} is not as its pickle says")
      self._starts[key] = position + _COUNT_BYTES
      position = self._starts[key] + count * storage.dtype.itemsize
    if position != len(self._data):
      more = position - len(self._data)
      raise Unreadable(f"it is {abs(more)} bytes too {'short' if more > 0 else 'long'}")
    if missing := self._storages.keys() - self._starts.keys():
      raise Unreadable(f"storage {shown(min(missing))} is missing in it")


def _part(storage: Storage, view: Any) -> Storage:
  """A storage that is a part of another, as torch 0.3 wrote it: (key, offset, size)."""
  match view:
    case (_, int(offset), int(size)) if 0 <= offset <= offset + size <= storage.size:
      width = storage.dtype.itemsize
      bounds = slice(offset * width, (offset + size) * width)
      return Storage(storage.dtype, size, lambda dtype: storage.load(dtype)[bounds])
  raise Unreadable("it has a storage that is a part of another, but outside it")
