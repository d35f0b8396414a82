"""Executes one operation of a traced graph eagerly, on other inputs than it was traced with."""

import weakref
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, tensor_shape_pb2
from tensorflow.python.eager import context
from tensorflow.python.eager import execute as eager

Tensors = Sequence[tf.Tensor]

# Variables' values stand in for their handles, so what reads a handle reads the value.
_READS = {
  "ReadVariableOp": lambda op, inputs: [inputs[0]],
  "ResourceGather": lambda op, inputs: [
    tf.gather(inputs[0], inputs[1], batch_dims=op.get_attr("batch_dims"))
  ],
  "ResourceGatherNd": lambda op, inputs: [tf.gather_nd(inputs[0], inputs[1])],
  "VariableShape": lambda op, inputs: [tf.shape(inputs[0], op.get_attr("out_type"))],
}
# A gradient of its own makes IdentityN of what `tf.custom_gradient` wraps: the true gradient is
# wanted here. Assignments would change the model.
_PASSES = ("Identity", "IdentityN", "EnsureShape")
_SKIPS = ("Assert", "NoOp", "Print", "PrintV2")


def execute(op: tf.Operation, inputs: Tensors) -> list[tf.Tensor]:
  """What `op` makes of `inputs`; recorded on gradient tapes like any eager operation."""
  if op.type in _READS:
    return _READS[op.type](op, inputs)
  if op.type in _PASSES:
    return list(inputs)
  if op.type in _SKIPS or op.type.startswith("Assign"):
    return []
  if op.type == "Const":
    return [tf.constant(tf.make_ndarray(op.get_attr("value")))]
  return run(op.type, inputs, attributes(op), len(op.outputs))


def run(kind: str, inputs: Tensors, attrs: dict[str, Any], count: int = 1) -> list[tf.Tensor]:
  """The `count` outputs of an operation of type `kind`; `attrs` as `attributes` gives them."""
  flat = tuple(part for item in attrs.items() for part in item)
  outputs = eager.execute(kind, count, list(inputs), flat, context.context()) if count else []
  eager.record_gradient(kind, tuple(inputs), flat, outputs)
  return list(outputs)


_known: weakref.WeakKeyDictionary[tf.Operation, dict[str, Any]] = weakref.WeakKeyDictionary()


def attributes(op: tf.Operation) -> dict[str, Any]:
  """The operation's attributes, in the form in which `run` takes them; kept while `op` is."""
  if op not in _known:
    _known[op] = {attr.name: _plain(op.get_attr(attr.name)) for attr in op.op_def.attr}
  return _known[op]


def _plain(value: Any) -> Any:
  if isinstance(value, list):
    return [_plain(item) for item in value]
  if isinstance(value, tf.DType):
    return value.as_datatype_enum
  if isinstance(value, tensor_shape_pb2.TensorShapeProto):
    return None if value.unknown_rank else [dim.size for dim in value.dim]
  if isinstance(value, attr_value_pb2.NameAttrList):
    return value.name
  return value
