"""A layer's call as a graph that is run again with changes: where hypotheses operate.

A hypothesis edits operations, wherever and however the layer is written; only what depends on an
edit is computed again.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.program.execution import Tensors, execute


class Ref(NamedTuple):
  """Output `output` of the node at `index`."""

  index: int
  output: int = 0


class Node(NamedTuple):
  """One operation; `inputs` in its order."""

  index: int
  op: tf.Operation
  inputs: tuple[Ref, ...]

  @property
  def type(self) -> str:
    return self.op.type

  def attr(self, name: str) -> Any:
    return self.op.get_attr(name)


class Call(NamedTuple):
  """A call of a layer inside the traced one: the tensors that went in and came out."""

  layer: Any
  inputs: tuple[Ref, ...]
  outputs: tuple[Ref, ...]


Look = Callable[[Ref], tf.Tensor]
Function = Callable[[tf.Tensor], tf.Tensor]
# (its inputs, other values of this run that were computed before it) → its outputs.
Edit = Callable[[Tensors, Look], Tensors]
Edits = Mapping[int, Edit]


class Program:
  """A traced call.

  Args:
    nodes: in an order in which they can run.
    given: values of nodes without inputs: arguments, variables, captured tensors.
    arguments: nodes that are the call's tensors, in the order of `tf.nest.flatten`.
    variables: nodes that are variables' values, and the variables' names.
    sources: the variables behind these nodes, where they are known.
    outputs: by leaf name.
    calls: of the layers inside, in the order in which they returned.
  """

  def __init__(
    self,
    nodes: Sequence[Node],
    given: Mapping[int, tf.Tensor],
    arguments: Sequence[int],
    variables: Mapping[int, str],
    sources: Mapping[int, tf.Variable],
    outputs: Mapping[str, Ref],
    calls: Sequence[Call],
  ) -> None:
    self.nodes = nodes
    self.arguments = tuple(arguments)
    self.variables = dict(variables)
    self.sources = dict(sources)
    self.outputs = dict(outputs)
    self.calls = tuple(calls)
    self._base: dict[int, Tensors] = {index: [value] for index, value in given.items()}

  @functools.cached_property
  def live(self) -> frozenset[int]:
    """Nodes that an output depends on."""
    return self.ancestors(self.outputs.values())

  @functools.cached_property
  def constants(self) -> frozenset[int]:
    """Nodes that depend on no argument, variable or random number."""
    found: set[int] = set()
    varying = {*self.arguments, *self.variables}
    for node in self.nodes:
      random = "Random" in node.type or "Multinomial" in node.type
      if node.index not in varying and not random and all(r.index in found for r in node.inputs):
        found.add(node.index)
    return frozenset(found)

  @functools.cached_property
  def varying(self) -> frozenset[int]:
    """Nodes that depend on an argument."""
    found = set(self.arguments)
    for node in self.nodes:
      if any(ref.index in found for ref in node.inputs):
        found.add(node.index)
    return frozenset(found)

  @functools.cached_property
  def consumers(self) -> dict[Ref, list[tuple[int, int]]]:
    """Who reads a value: (node, which of its inputs)."""
    found: dict[Ref, list[tuple[int, int]]] = {}
    for node in self.nodes:
      for slot, ref in enumerate(node.inputs):
        if node.index in self.live:
          found.setdefault(ref, []).append((node.index, slot))
    return found

  def ancestors(self, refs: Iterable[Ref]) -> frozenset[int]:
    """The nodes of `refs` and all that they depend on."""
    found: set[int] = set()
    pending = [ref.index for ref in refs]
    while pending:
      index = pending.pop()
      if index not in found:
        found.add(index)
        pending.extend(ref.index for ref in self.nodes[index].inputs)
    return frozenset(found)

  def descendants(self, index: int) -> frozenset[int]:
    """The live nodes that depend on node `index`, itself among them."""
    found = {index}
    for node in self.nodes[index + 1 :]:
      if node.index in self.live and any(ref.index in found for ref in node.inputs):
        found.add(node.index)
    return frozenset(found)

  def of_type(self, *types: str) -> list[Node]:
    """Live nodes of these types, in order."""
    return [node for node in self.nodes if node.type in types and node.index in self.live]

  def value(self, ref: Ref) -> tf.Tensor:
    """The value without any edit; kept once computed."""
    if ref.index not in self._base:
      for index in sorted(self.ancestors([ref])):
        if index not in self._base:
          node = self.nodes[index]
          inputs = [self._base[source.index][source.output] for source in node.inputs]
          self._base[index] = execute(node.op, inputs)
    return self._base[ref.index][ref.output]

  def array(self, ref: Ref) -> np.ndarray:
    """The value without any edit, as an array."""
    return self.value(ref).numpy()

  def shape(self, ref: Ref) -> tuple[int, ...]:
    """The value's shape."""
    return tuple(self.value(ref).shape.as_list())

  def evaluate(self, targets: Iterable[Ref], edits: Edits) -> list[tf.Tensor]:
    """Values of `targets` under `edits`, by node."""
    targets = list(targets)
    needed = self.ancestors(targets)
    changed: dict[int, Tensors] = {}

    def look(ref: Ref) -> tf.Tensor:
      return changed[ref.index][ref.output] if ref.index in changed else self.value(ref)

    for index in sorted(needed | (edits.keys() & needed)):
      node = self.nodes[index]
      if index in edits or any(ref.index in changed for ref in node.inputs):
        edit = edits.get(index)
        inputs = [look(ref) for ref in node.inputs] if node.inputs else [self.value(Ref(index))]
        changed[index] = edit(inputs, look) if edit else execute(node.op, inputs)
    return [look(ref) for ref in targets]

  def run(self, edits: Edits | None = None) -> dict[str, tf.Tensor]:
    """The outputs, by leaf name, under `edits`."""
    return dict(zip(self.outputs, self.evaluate(self.outputs.values(), edits or {}), strict=True))

  def line(self, index: int) -> str:
    """ "file:line" of the code that made the node; empty where only libraries did."""
    for frame in reversed(self.nodes[index].op.traceback):
      if frame.filename.endswith(_TRACER):
        return ""
      if not any(part in frame.filename for part in _LIBRARIES):
        return f"{frame.filename}:{frame.lineno}"
    return ""


_TRACER = "official/parity/diagnosis/program/tracing.py"
_LIBRARIES = ("site-packages", "/lib/python3", "<")


def replace(value: tf.Tensor) -> Edit:
  """An edit that puts `value` in place of a node's first output."""
  return lambda inputs, look: [value]
