"""numpy's arrays, types and scalars, as its pickles make them."""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from official.checkpoints.arrays import LazyArray
from official.checkpoints.pickles.values import ArrayType, Global, PendingArray
from official.checkpoints.problems import UNSUPPORTED, UNTRUSTED, Unreadable, shown
from official.checkpoints.shapes import is_shape

# No "O": an array of objects is a pickle within the pickle.
_CODES = frozenset(
  ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
)


def _make_type(arguments: tuple[Any, ...]) -> ArrayType:
  match arguments:
    case (str(code), *_) if code in _CODES:
      return ArrayType(code)
    case (str(code), *_):
      raise Unreadable(f"it has a numpy array of type {shown(code)}", UNSUPPORTED)
  raise Unreadable("it has odd arguments of numpy.dtype", UNTRUSTED)


def fill_type(target: ArrayType, state: Any) -> None:
  """Gives a dtype its state: (version, byte order, no sub-array, no fields, …)."""
  match state:
    case (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
      target.order = order
    case _:
      raise Unreadable("it has a numpy dtype with an odd state", UNTRUSTED)


def _start_array(arguments: tuple[Any, ...]) -> PendingArray:
  match arguments:
    case (Global(module="numpy", name="ndarray"), (0,), b"b" | "b"):
      return PendingArray()
  raise Unreadable("it has odd arguments of numpy's _reconstruct", UNTRUSTED)


def fill_array(target: PendingArray, state: Any) -> None:
  """Gives an array its state: (version, shape, dtype, Fortran order, bytes)."""
  match state:
    case (int(), tuple(shape), ArrayType() as kind, bool() | 0 | 1 as fortran, data):
      target.array = _array(data, kind, shape, "F" if fortran else "C")
    case _:
      raise Unreadable("it has a numpy array with an odd state", UNTRUSTED)


def _from_buffer(arguments: tuple[Any, ...]) -> LazyArray:
  match arguments:
    case (data, ArrayType() as kind, tuple(shape), "C" | "F" as order):
      return _array(data, kind, shape, order)
  raise Unreadable("it has odd arguments of numpy's _frombuffer", UNTRUSTED)


def _array(data: Any, kind: ArrayType, shape: tuple[Any, ...], order: Any) -> LazyArray:
  stored, dtype = _dtypes(kind)
  raw = _bytes(data)
  if not is_shape(shape):
    raise Unreadable(f"it has a numpy array of shape {shown(shape)}")
  if math.prod(shape) * dtype.itemsize != len(raw):
    raise Unreadable(f"it has {len(raw)} bytes for a numpy array of {dtype} {shown(shape)}")

  def load() -> np.ndarray:
    return np.ndarray(shape, stored, raw, order=order).astype(dtype, order="C")

  return LazyArray(shape, dtype, load)


def _scalar(arguments: tuple[Any, ...]) -> Any:
  match arguments:
    case (ArrayType() as kind, bytes() | str() as data):
      stored, _ = _dtypes(kind)
      raw = _bytes(data)
      if len(raw) == stored.itemsize:
        return np.frombuffer(raw, stored)[0].item()
  raise Unreadable("it has odd arguments of numpy's scalar", UNTRUSTED)


def _dtypes(kind: ArrayType) -> tuple[np.dtype, np.dtype]:
  """The dtype in the file, and in the machine's byte order."""
  stored = np.dtype(kind.code).newbyteorder(kind.order)
  return stored, stored.newbyteorder("=")


def _bytes(data: Any) -> bytes | memoryview:
  """A byte string, which Python 2 pickled as text."""
  if isinstance(data, bytes | memoryview):
    return data
  if isinstance(data, str):
    with contextlib.suppress(UnicodeEncodeError):
      return data.encode("latin-1")
  raise Unreadable("it has a numpy array whose content is no byte string", UNTRUSTED)


CALLS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = {
  "numpy.dtype": _make_type,
  "numpy.core.multiarray._reconstruct": _start_array,
  "numpy.core.multiarray.scalar": _scalar,
  "numpy.core.numeric._frombuffer": _from_buffer,
}
GLOBALS = frozenset({"numpy.ndarray"})
