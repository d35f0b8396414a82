"""torch's tensors, as `torch.save` pickles them: views of storages that lie outside the pickle."""

import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np

from official.checkpoints.arrays import LazyArray
from official.checkpoints.pickles.torch_types import DTYPES, STORAGES
from official.checkpoints.pickles.values import Global, OrderedMap, Storage
from official.checkpoints.problems import UNSUPPORTED, UNTRUSTED, Unreadable, shown
from official.checkpoints.shapes import is_shape

# A view that repeats elements (of `expand`) may be larger than its storage, but not by any size.
_MAX_EXPANDED = 64 << 20
# Whether a storage within a pickle is being read.
_INSIDE: ContextVar[bool] = ContextVar("inside", default=False)


def view(
  storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype
) -> LazyArray:
  """The tensor that sees `storage` with `offset` and `strides`, in elements of `dtype`.

  Raises:
    Unreadable: it would see memory outside the storage, or is absurdly large.
  """
  if not (is_shape(shape) and is_shape((offset,)) and _are_strides(strides, len(shape))):
    raise Unreadable(
      f"it has a tensor of shape {shown(shape)}, strides {shown(strides)}, offset {shown(offset)}"
    )
  available = storage.size * storage.dtype.itemsize // dtype.itemsize
  last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
  count = math.prod(shape)
  if count and last >= available:
    raise Unreadable(
      f"it has a tensor of shape {shown(shape)}, strides {shown(strides)}, offset {offset} "
      f"outside its storage of {available} elements"
    )
  if count > available and count * dtype.itemsize > _MAX_EXPANDED:
    raise Unreadable(f"it has {available} elements expanded to {shown(shape)}", UNSUPPORTED)

  def load() -> np.ndarray:
    in_bytes = tuple(stride * dtype.itemsize for stride in strides)
    start = offset * dtype.itemsize if count else 0
    seen = np.ndarray(shape, dtype, storage.load(dtype), start, in_bytes)
    return seen.copy(order="C")

  return LazyArray(shape, dtype, load)


def _are_strides(strides: tuple[Any, ...], rank: int) -> bool:
  return len(strides) == rank and all(is_shape((stride,)) for stride in strides)


def _tensor(arguments: tuple[Any, ...]) -> LazyArray:
  match arguments:
    case (Storage() as storage, offset, tuple(shape), tuple(strides)):
      return view(storage, offset, shape, strides, storage.dtype)
  raise _odd("_rebuild_tensor")


def _tensor_2(arguments: tuple[Any, ...]) -> LazyArray:
  match arguments:
    case (_, _, _, _, bool(), (None | OrderedMap()) as hooks, *rest) if (
      not hooks and len(rest) <= 1
    ):
      return _with_flags(_tensor(arguments[:4]), *rest)
  raise _odd("_rebuild_tensor_v2")


def _tensor_3(arguments: tuple[Any, ...]) -> LazyArray:
  match arguments:
    case (
      Storage() as storage,
      offset,
      tuple(shape),
      tuple(strides),
      bool(),
      (None | OrderedMap()) as hooks,
      Global(module="torch", name=name),
      *rest,
    ) if not hooks and len(rest) <= 1 and name in DTYPES:
      return _with_flags(view(storage, offset, shape, strides, DTYPES[name]), *rest)
  raise _odd("_rebuild_tensor_v3")


def _with_flags(tensor: LazyArray, flags: Any = None) -> LazyArray:
  """Applies the lazy conjugate and negative that a complex view may carry."""
  if not flags:
    return tensor
  known = isinstance(flags, dict) and flags.keys() <= {"conj", "neg"}
  if not known or tensor.dtype.kind not in "fc":
    raise _odd("_rebuild_tensor_v2")

  def load() -> np.ndarray:
    array = tensor.load()
    array = np.conj(array) if flags.get("conj") else array
    return -array if flags.get("neg") else array

  return LazyArray(tensor.shape, tensor.dtype, load)


def _parameter(arguments: tuple[Any, ...]) -> LazyArray:
  match arguments:
    case (LazyArray() as data, bool(), (None | OrderedMap()) as hooks, *_) if not hooks:
      return data
  raise _odd("_rebuild_parameter")


def _subclass(arguments: tuple[Any, ...]) -> LazyArray:
  """A tensor of a derived class, or with attributes: as a plain tensor."""
  match arguments:
    case (Global() as function, Global(), tuple(inner), _) if str(function) in _TENSORS:
      return _TENSORS[str(function)](inner)
  raise _odd("_rebuild_from_type_v2")


def _size(arguments: tuple[Any, ...]) -> tuple[int, ...]:
  match arguments:
    case ((tuple() | list()) as sizes,) if all(type(n) is int for n in sizes):
      return tuple(sizes)
  raise _odd("torch.Size")


def _device(arguments: tuple[Any, ...]) -> str:
  match arguments:
    case (str(kind),):
      return kind
    case (str(kind), int(index)):
      return f"{kind}:{index}"
  raise _odd("torch.device")


def _storage(arguments: tuple[Any, ...]) -> Storage:
  """The storage of a tensor that was pickled alone: bytes in which `torch.save` wrote it."""
  from official.checkpoints.torch_legacy import read_torch_legacy  # Which reads pickles itself.

  match arguments:
    case ((bytes() | memoryview()) as data,) if not _INSIDE.get():
      token = _INSIDE.set(True)  # A storage holds none; without end, Python's stack would.
      try:
        storage = read_torch_legacy(memoryview(data))
      finally:
        _INSIDE.reset(token)
      if isinstance(storage, Storage):
        return storage
  raise _odd("_load_from_bytes")


def _refused(what: str) -> Callable[[tuple[Any, ...]], Any]:
  def refuse(_: tuple[Any, ...]) -> Any:
    raise Unreadable(f"it has {what}, which is not read", UNSUPPORTED)

  return refuse


def _odd(function: str) -> Unreadable:
  return Unreadable(f"its pickle calls {function} with odd arguments", UNTRUSTED)


_TENSORS: Mapping[str, Callable[[tuple[Any, ...]], LazyArray]] = {
  "torch._utils._rebuild_tensor": _tensor,
  "torch._utils._rebuild_tensor_v2": _tensor_2,
  "torch._utils._rebuild_tensor_v3": _tensor_3,
  "torch._utils._rebuild_parameter": _parameter,
  "torch._utils._rebuild_parameter_with_state": _parameter,
}
CALLS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = {
  **_TENSORS,
  "torch._tensor._rebuild_from_type_v2": _subclass,
  "torch.storage._load_from_bytes": _storage,
  "torch.Size": _size,
  "torch.device": _device,
  "torch.serialization._get_layout": _refused("a sparse tensor"),
  "torch._utils._rebuild_qtensor": _refused("a quantized tensor"),
  "torch._utils._rebuild_meta_tensor_no_storage": _refused("a tensor without content"),
}
GLOBALS = frozenset(
  [f"{module}.{name}" for module in ("torch", "torch.cuda") for name in STORAGES]
  + ["torch.storage.UntypedStorage", "torch.Tensor", "torch.nn.parameter.Parameter"]
  + ["torch.nn.parameter.Buffer"]
  + [f"torch.{name}" for name in DTYPES]
)
