"""Questions about a program's graph, and the edits that hypotheses share."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from official.parity.diagnosis.program.execution import attributes, execute, run
from official.parity.diagnosis.program.program import Edit, Node, Program, Ref

# Change the shape, order or dtype of values, but not the values.
SHAPING = frozenset(
  {"Identity", "IdentityN", "StopGradient", "Cast", "Reshape", "Squeeze", "ExpandDims"}
  | {"Transpose", "BroadcastTo", "Tile", "Pack", "Unpack", "ConcatV2", "Split", "SplitV"}
  | {"StridedSlice", "Slice", "GatherV2", "EnsureShape", "Roll"}
)
SUMS = frozenset({"AddV2", "Add", "AddN", "Sub", "BiasAdd"})
LINEAR = SHAPING | SUMS | {"Mul", "RealDiv", "Neg", "SelectV2"}
ELEMENTWISE = (SUMS - {"AddN", "BiasAdd"}) | frozenset(
  {"Mul", "RealDiv", "Div", "DivNoNan", "Pow", "Maximum", "Minimum", "SquaredDifference"}
  | {"SelectV2"}
)
PRODUCTS = frozenset({"MatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"})
CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput"})
SINES = frozenset({"Sin", "Cos"})


class Edge(NamedTuple):
  """Input `slot` of `node`."""

  node: Node
  slot: int


def reaches(program: Program, index: int, goals: Collection[str], through: Collection[str]) -> bool:
  """Whether a path from node `index` leads to one of `goals` through such types only."""
  seen, pending = {index}, [index]
  while pending:
    for consumer in consumers(program, pending.pop()):
      if consumer.type in goals:
        return True
      if consumer.type in through and consumer.index not in seen:
        seen.add(consumer.index)
        pending.append(consumer.index)
  return False


def leads_only_to(program: Program, index: int, goals: Collection[str]) -> bool:
  """Whether every path from node `index` to an output passes one of `goals`, and one does."""
  ends = {ref.index for ref in program.outputs.values()}
  seen, pending, passed = {index}, [index], False
  while pending:
    current = pending.pop()
    if current in ends:
      return False
    for consumer in consumers(program, current):
      if consumer.type in goals:
        passed = True
      elif consumer.index not in seen:
        seen.add(consumer.index)
        pending.append(consumer.index)
  return passed


def consumers(program: Program, index: int) -> Iterator[Node]:
  """The live nodes that read any output of node `index`."""
  for output in range(len(program.nodes[index].op.outputs)):
    for reader, _ in program.consumers.get(Ref(index, output), ()):
      yield program.nodes[reader]


def origin(program: Program, ref: Ref, through: Collection[str] = SHAPING) -> Ref:
  """Where a value comes from, before operations of such types (their first inputs)."""
  while program.nodes[ref.index].type in through and program.nodes[ref.index].inputs:
    ref = program.nodes[ref.index].inputs[0]
  return ref


def scalar_edges(program: Program) -> Iterator[tuple[Edge, float]]:
  """Where a constant of one element meets something larger, and its value."""
  for node in program.nodes:
    if node.index not in program.live or node.type not in ELEMENTWISE:
      continue
    if node.index in program.constants and program.value(Ref(node.index)).shape.num_elements() < 2:
      continue
    for slot, ref in enumerate(node.inputs):
      if ref.index in program.constants and node.op.inputs[slot].dtype.is_floating:
        value = program.array(ref)
        if value.size == 1:
          yield Edge(node, slot), float(value.reshape(()))


def order_cause(program: Program, ref: Ref, cause: str) -> str:
  """`cause`, or what it is called where the parts are sines and cosines of positions."""
  above = {program.nodes[i].type for i in program.ancestors([ref])}
  return "position_order" if above & SINES and not above & (PRODUCTS | CONVOLUTIONS) else cause


def is_float(program: Program, ref: Ref) -> bool:
  """Whether the value is of a float dtype."""
  return program.nodes[ref.index].op.outputs[ref.output].dtype.is_floating


def is_data(program: Program, ref: Ref) -> bool:
  """Whether the value is a float one that depends on an argument."""
  return is_float(program, ref) and ref.index in program.varying


def with_input(edge: Edge, value: Any) -> Edit:
  """Feeds `value` to the edge instead, cast to the dtype that arrives there."""
  node, slot = edge

  def edit(inputs: Sequence[tf.Tensor], look: Any) -> list[tf.Tensor]:
    new = tf.fill(inputs[slot].shape, tf.constant(value, inputs[slot].dtype))
    return execute(node.op, [*inputs[:slot], new, *inputs[slot + 1 :]])

  return edit


def after(program: Program, ref: Ref, function: Callable[[tf.Tensor], tf.Tensor]) -> Edit:
  """Applies `function` to one output of a node."""

  def edit(inputs: Sequence[tf.Tensor], look: Any) -> list[tf.Tensor]:
    outputs = make(program.nodes[ref.index], inputs)
    outputs[ref.output] = function(outputs[ref.output])
    return outputs

  return edit


def make(node: Node, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
  """What the node makes of its inputs, or its given value, which an edit gets as its input."""
  return execute(node.op, inputs) if node.inputs else list(inputs)


def with_attributes(node: Node, **changes: Any) -> Edit:
  """Runs the node with other attributes."""
  attrs = attributes(node.op) | changes
  return lambda inputs, look: run(node.type, inputs, attrs, len(node.op.outputs))
