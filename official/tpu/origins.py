"""Where an operation of a traced step comes from: its layer, and the line of Python."""

import dataclasses
import itertools
import os
import re
import types
from collections.abc import Iterable, Iterator

import tensorflow as tf

_BACKWARD = "gradient_tape/"
_LIBRARIES = re.compile(r"/(tensorflow|tf_keras|keras|orbit|wrapt|numpy)/|/contextlib\.py$|^<")
_PACKAGE = os.path.dirname(__file__) + os.sep
_TRAINERS = ("/official/training/trainer.py", "/official/core/base_trainer.py")
_COPY = re.compile(r"_\d+$")


@dataclasses.dataclass(frozen=True)
class Origin:
  """Where an operation comes from.

  Attributes:
    op: its type, such as `Conv2D`.
    layer: path of the layer whose call made it; empty outside of layers.
    line: "file:line" of the innermost line of Python that is neither TensorFlow's nor Keras'; for a
      gradient, the line of what is differentiated. Empty where there is none.
    backward: whether it is part of a gradient.
  """

  op: str
  layer: str = ""
  line: str = ""
  backward: bool = False

  @property
  def place(self) -> str:
    """The layer and the line, in words."""
    layer = f"{self.layer} " if self.layer else ""
    return f"{layer}({nearby(self.line)})" if self.line else layer.strip()


def operations(function: tf.types.experimental.ConcreteFunction) -> Iterator[tf.Operation]:
  """Every operation of `function` and of the functions that it calls, each once."""
  seen: set[str] = set()
  graphs = [function.graph]
  while graphs:
    for op in graphs.pop().get_operations():
      yield op
      for name in _called(op):
        if name not in seen:
          seen.add(name)
          graphs.append(op.graph._get_function(name).graph)


def _called(op: tf.Operation) -> list[str]:
  attributes = op.node_def.attr.values()
  functions = [func for attr in attributes for func in (attr.func, *attr.list.func)]
  names = [function.name for function in functions if function.name]
  return [name for name in names if op.graph._get_function(name) is not None]


class Origins:
  """Finds the origins of a traced step's operations, by name.

  Args:
    function: the step.
    model: whose layers are told; their names are scopes of their operations' names.
  """

  def __init__(self, function: tf.types.experimental.ConcreteFunction, model: tf.Module) -> None:
    self._layers = {module.name for module in (model, *model.submodules)}
    self._ops: dict[str, tf.Operation] = {}
    self._scopes: dict[str, list[tf.Operation]] = {}
    for op in operations(function):
      self._ops.setdefault(op.name, op)
      self._scopes.setdefault(op.name.rpartition("/")[0], []).append(op)

  def of(self, op: tf.Operation) -> Origin:
    """The origin of an operation of the step."""
    source = self._differentiated(op.name) or op
    backward = op.name.startswith(_BACKWARD)
    return Origin(op.type, self._layer(op.name), python_line(source), backward)

  def named(self, name: str) -> Origin:
    """The origin of what the compiler knows as `name`, which may stand inside of called functions
    or be a part of an operation."""
    op = self._find(name)
    return self.of(op) if op is not None else Origin(_last(name), self._layer(name))

  def _find(self, name: str) -> tf.Operation | None:
    """The operation of that name, or the nearest that encloses it."""
    inner = name
    while inner:
      if inner in self._ops:
        return self._ops[inner]
      inner = inner.partition("/")[2]
    outer = name.rpartition("/")[0]
    return self._ops.get(outer)

  def _layer(self, name: str) -> str:
    """The scopes of `name` that are layers, from the first one on."""
    scopes = name.removeprefix(_BACKWARD).split("/")[:-1]
    is_layer = [scope in self._layers or _COPY.sub("", scope) in self._layers for scope in scopes]
    first = is_layer.index(True) if True in is_layer else len(scopes)
    last = next((i for i in range(first, len(scopes)) if not is_layer[i]), len(scopes))
    return "/".join(scopes[first:last])

  def _differentiated(self, name: str) -> tf.Operation | None:
    """The operation whose gradient the one called `name` is: its name is in that name, or it stands
    in the same scope and has the type that begins alike."""
    if not name.startswith(_BACKWARD):
      return None
    forward = scope = name.removeprefix(_BACKWARD).rpartition("/")[0]
    for candidate in (forward, _COPY.sub("", forward)):
      if candidate in self._ops:
        return self._ops[candidate]
    alike = [(_alike(op.type, _last(name)), op) for op in self._scopes.get(scope, ()) if scope]
    return max(alike, key=lambda pair: pair[0])[1] if alike else None


def _alike(one: str, other: str) -> int:
  """How many letters two types have in common at their beginning."""
  pairs = zip(one, other, strict=False)
  return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _last(name: str) -> str:
  return _COPY.sub("", name.rpartition("/")[2])


def python_line(op: tf.Operation) -> str:
  """ "file:line" of the innermost frame of `op` that is neither a library's nor this package's."""
  frames = [(frame.filename, frame.lineno) for frame in op.traceback or ()]
  return _innermost(frames)


def raised_at(trace: types.TracebackType | None) -> str:
  """ "file:line" of the innermost frame of an exception that is neither a library's nor ours."""
  frames = []
  while trace is not None:
    frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
    trace = trace.tb_next
  return _innermost(frames)


def _innermost(frames: Iterable[tuple[str, int]]) -> str:
  for file, line in reversed(list(frames)):
    if not (_LIBRARIES.search(file) or file.startswith(_PACKAGE) or file.endswith(_TRAINERS)):
      return f"{file}:{line}"
  return ""


def nearby(line: str) -> str:
  """ "file:line" as it is seen from here."""
  return line.removeprefix(f"{os.getcwd()}{os.sep}")
