"""Floating-point operations of a traced function, from the static shapes of its graph.

FLOPs here are twice the multiply-adds of convolutions and matrix products, as Darknet prints them.
Everything else (biases, normalization, activations, pooling) is left out: in vision networks it is
about a hundredth. Padding counts as input.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow.python.ops import handle_data_util

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_Op = tf.Operation


def count_flops(function: tf.types.experimental.ConcreteFunction) -> int:
  """FLOPs of one call of `function`, whose shapes must be static where it multiplies.

  Raises:
    ValueError: a convolution or matrix product has a dynamic shape, or stands in a branch or a
      loop, so that nobody knows how often it runs. Names the operation.
  """
  return 2 * _graph_multiply_adds(function.graph)


def _graph_multiply_adds(graph: tf.Graph) -> int:
  return sum(_multiply_adds(op) for op in graph.get_operations())


def _multiply_adds(op: _Op) -> int:
  if op.type in _COUNTERS:
    return _COUNTERS[op.type](op)
  called = sum(_graph_multiply_adds(graph) for graph in _called_graphs(op))
  if called and op.type not in _CALLS:
    raise ValueError(f"{op.type} '{op.name}' holds convolutions or matrix products")
  return called


def _called_graphs(op: _Op) -> list[tf.Graph]:
  """The graphs of the functions in the attributes of `op`."""
  attributes = op.node_def.attr.values()
  functions = [function for attr in attributes for function in (attr.func, *attr.list.func)]
  graphs = [op.graph._get_function(function.name).graph for function in functions if function.name]
  return [_bind(graph, op.inputs) for graph in graphs] if op.type in _CALLS else graphs


def _bind(graph: tf.Graph, arguments: Sequence[tf.Tensor]) -> tf.Graph:
  """The graph for the shapes of `arguments`, where it was traced for others, such as any batch."""
  pairs = list(zip(graph.inputs, arguments, strict=True))
  if all(inside.shape.is_fully_defined() for inside, _ in pairs):
    return graph
  bound = tf.Graph()
  with bound.as_default():
    inputs = {}
    for inside, argument in pairs:
      inputs[inside.name] = tf.compat.v1.placeholder(argument.dtype, argument.shape)
      handle_data_util.copy_handle_data(argument, inputs[inside.name])  # A variable's shape.
    tf.graph_util.import_graph_def(graph.as_graph_def(), inputs)
  return bound


def _shape(tensor: tf.Tensor) -> list[int]:
  if not tensor.shape.is_fully_defined():
    raise ValueError(f"'{tensor.name}' has the dynamic shape {tensor.shape}")
  return tensor.shape.as_list()


def _convolution(op: _Op) -> int:
  """Each output adds up a kernel over its group's input channels; kernel [.., c_in, c_out]."""
  return math.prod(_shape(op.outputs[0])) * math.prod(_shape(op.inputs[1])[:-1])


def _depthwise(op: _Op) -> int:
  """Each output adds up one channel's kernel; kernel [h, w, c, multiplier]."""
  return math.prod(_shape(op.outputs[0])) * math.prod(_shape(op.inputs[1])[:2])


def _transposed(op: _Op) -> int:
  """Each input is spread over a kernel and all output channels; kernel [.., c_out, c_in]."""
  return math.prod(_shape(op.inputs[2])) * math.prod(_shape(op.inputs[1])[:-1])


def _product(transposed: str) -> Callable[[_Op], int]:
  """Counter of products [.., n, k] · [.., k, m]; the attribute tells if the first is transposed."""

  def count(op: _Op) -> int:
    inner = _shape(op.inputs[0])[-2 if op.get_attr(transposed) else -1]
    return math.prod(_shape(op.outputs[0])) * inner

  return count


def _einsum(op: _Op) -> int:
  """One multiply-add for each combination of the indices."""
  terms = op.get_attr("equation").decode().split("->")[0].split(",")
  sizes: dict[str, int] = {}
  for term, operand in zip(terms, op.inputs, strict=True):
    for label, size in zip(_labels(term, len(operand.shape)), _shape(operand), strict=True):
      sizes[label] = max(size, sizes.get(label, 1))
  return math.prod(sizes.values()) if len(op.inputs) > 1 else 0


def _labels(term: str, rank: int) -> list[str]:
  """The term's indices, with `...` spelled out as numbers counted from the right."""
  before, dots, after = term.partition("...")
  broadcast = range(rank - len(before) - len(after), 0, -1) if dots else ()
  return [*before, *map(str, broadcast), *after]


_COUNTERS: dict[str, Callable[[_Op], int]] = {
  "Conv2D": _convolution,
  "Conv3D": _convolution,
  "Conv2DBackpropInput": _transposed,
  "DepthwiseConv2dNative": _depthwise,
  "MatMul": _product("transpose_a"),
  "BatchMatMul": _product("adj_x"),
  "BatchMatMulV2": _product("adj_x"),
  "BatchMatMulV3": _product("adj_x"),
  "Einsum": _einsum,
  "XlaEinsum": _einsum,
}
