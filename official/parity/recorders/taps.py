"""Names the calls of modules, and the outputs of these calls, as they happen."""

import collections
import dataclasses
import weakref
from collections.abc import Iterable
from typing import Any

from official.parity.keys import tap_name
from official.parity.recording.header import TapInfo

PLAIN = (bool, int, float, str, type(None))


@dataclasses.dataclass
class Call:
  """A call of a module that runs.

  Attributes:
    path: of the module; empty for the whole network.
    number: which of the module's calls in the pass, from 0.
    module: the module.
    parent: name of the call that made this one; empty outside.
    inputs: names of the taps that it was given as they were.
  """

  path: str
  number: int
  module: Any
  parent: str
  inputs: tuple[str, ...]

  @property
  def name(self) -> str:
    return tap_name(self.path, self.number)


class TapLog:
  """The calls of one pass, begun and ended like brackets.

  Attributes:
    taps: outputs so far, in the order in which their calls ended.
  """

  def __init__(self) -> None:
    self.taps: list[TapInfo] = []
    self._counts: collections.Counter[str] = collections.Counter()
    self._stack: list[Call] = []
    self._names: dict[int, tuple[weakref.ref, int, str]] = {}

  def begin(self, path: str, module: Any, inputs: Iterable[tuple[Any, int]]) -> Call:
    """A call of `module` begins, with tensors, each with its version (see `name_of`)."""
    names = (self.name_of(tensor, version) for tensor, version in inputs)
    call = Call(
      path=path,
      number=self._counts[path],
      module=module,
      parent=self._stack[-1].name if self._stack else "",
      inputs=tuple(dict.fromkeys(name for name in names if name)),
    )
    self._counts[path] += 1
    self._stack.append(call)
    return call

  def end(self) -> Call:
    """The innermost call has returned."""
    return self._stack.pop()

  def add(self, call: Call, leaf: str, shape: Iterable[int], dtype: str) -> TapInfo:
    """Describes an output of a call that has returned."""
    tap = TapInfo(
      name=tap_name(call.path, call.number, leaf),
      path=call.path,
      call=call.number,
      leaf=leaf,
      layer=type(call.module).__name__,
      parent=call.parent,
      order=len(self.taps),
      shape=tuple(shape),
      dtype=dtype,
      inputs=call.inputs,
      config=plain_attributes(call.module),
    )
    self.taps.append(tap)
    return tap

  def hold(self, tap: TapInfo, tensor: Any, version: int = 0) -> None:
    """`tensor` is what the caller is handed as this tap, until it is changed in place."""
    self._names[id(tensor)] = (weakref.ref(tensor), version, tap.name)

  def name_of(self, tensor: Any, version: int = 0) -> str:
    """The tap that `tensor` is, unchanged; empty where it is none."""
    reference, seen, name = self._names.get(id(tensor), (None, 0, ""))
    return name if reference and reference() is tensor and seen == version else ""

  def called(self, path: str) -> bool:
    """Whether the module at `path` has been called."""
    return path in self._counts


def plain_attributes(module: Any) -> dict[str, Any]:
  """Public attributes that JSON can hold, and functions by name: epsilon, padding, activation."""
  attributes = {}
  for name, value in vars(module).items():
    if name.startswith("_"):
      continue
    if isinstance(value, PLAIN):
      attributes[name] = value
    elif isinstance(value, list | tuple) and all(isinstance(item, PLAIN) for item in value):
      attributes[name] = list(value)
    elif callable(value) and isinstance(label := getattr(value, "__name__", None), str):
      attributes[name] = label
  return attributes
