"""The rules: what of an operation alone says that a TPU cannot run it, or runs it badly."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from official.tpu.findings import Level
from official.tpu.lint import kernels

_HOST = frozenset(
  [
    "PyFunc",
    "PyFuncStateless",
    "EagerPyFunc",
    "Print",
    "PrintV2",
    "StringFormat",
    "WriteSummary",
    "WriteScalarSummary",
    "WriteImageSummary",
    "WriteHistogramSummary",
    "ReadFile",
    "WriteFile",
    "IteratorGetNext",
    "IteratorV2",
    "OneShotIterator",
    "XlaHostCompute",
    "OutfeedEnqueue",
    "OutfeedEnqueueTuple",
    "InfeedDequeue",
    "InfeedDequeueTuple",
    "LookupTableFindV2",
    "HashTableV2",
  ]
)
_DYNAMIC = frozenset(
  [
    "Where",
    "Unique",
    "UniqueV2",
    "UniqueWithCounts",
    "UniqueWithCountsV2",
    "ListDiff",
    "DenseToDenseSetOperation",
    "DynamicPartition",
    "NonMaxSuppression",
    "NonMaxSuppressionV2",
    "NonMaxSuppressionV3",
    "NonMaxSuppressionV5",
    "RaggedRange",
    "RaggedTensorToTensor",
    "RaggedGather",
    "SparseReshape",
    "SparseToDense",
    "StringSplitV2",
  ]
)
_NMS = frozenset({"CombinedNonMaxSuppression"})
_PRODUCTS = frozenset(
  [
    "MatMul",
    "BatchMatMul",
    "BatchMatMulV2",
    "BatchMatMulV3",
    "Einsum",
    "XlaEinsum",
    "Conv2D",
    "Conv3D",
    "Conv2DBackpropInput",
    "Conv2DBackpropFilter",
    "DepthwiseConv2dNative",
    "DepthwiseConv2dNativeBackpropInput",
    "DepthwiseConv2dNativeBackpropFilter",
  ]
)
# Arguments of functions, and results that a TPU's kernel does not make.
_UNTOLD = frozenset({"Placeholder", "_Arg", "FusedBatchNormV3"})
_WIDE = (tf.float64, tf.complex128)


@dataclasses.dataclass(frozen=True)
class Rule:
  """What is looked for, and what to say.

  Attributes:
    name: of the rule.
    level: of its findings.
    holds: whether an operation breaks it; takes the dtype in which the model computes, too.
    reason: one sentence.
    cure: what usually helps.
  """

  name: str
  level: Level
  holds: Callable[[tf.Operation, str], bool]
  reason: str
  cure: str


def _is_host(op: tf.Operation, precision: str) -> bool:
  del precision
  return op.type in _HOST


def _is_nms(op: tf.Operation, precision: str) -> bool:
  del precision
  return op.type in _NMS


def _is_dynamic(op: tf.Operation, precision: str) -> bool:
  del precision
  return op.type in _DYNAMIC


def _has_strings(op: tf.Operation, precision: str) -> bool:
  """Texts of assertions do no harm: the compiler drops assertions."""
  del precision
  if not any(output.dtype.base_dtype == tf.string for output in op.outputs):
    return False
  consumers = [consumer for output in op.outputs for consumer in output.consumers()]
  return op.type != "Const" or any(consumer.type != "Assert" for consumer in consumers)


def _has_no_kernel(op: tf.Operation, precision: str) -> bool:
  del precision
  return not kernels.compiles(op)


def _makes_unknown(op: tf.Operation, precision: str) -> bool:
  """Whether shapes are known before `op` and not after it."""
  del precision
  known = op.type not in _UNTOLD and all(_is_known(tensor) for tensor in op.inputs)
  return known and not all(_is_known(tensor) for tensor in op.outputs)


def _is_known(tensor: tf.Tensor) -> bool:
  return tensor.dtype in (tf.resource, tf.variant) or tensor.shape.is_fully_defined()


def _widens(op: tf.Operation, precision: str) -> bool:
  """Whether 64-bit floats begin here in a model that does not compute in them."""
  if precision == "float64" or op.type in _UNTOLD:
    return False
  begins = not any(_is_wide(tensor) for tensor in op.inputs)
  ends = any(_is_wide(tensor) for tensor in op.outputs)
  return begins and ends and not _follows(op)


def _is_wide(tensor: tf.Tensor) -> bool:
  return tensor.dtype.base_dtype in _WIDE


def _follows(op: tf.Operation) -> bool:
  """Whether it is a constant that only meets what is wide already."""
  users = [user for output in op.outputs for user in output.consumers()]
  others = ([t for t in user.inputs if t.op is not op and _is_wide(t)] for user in users)
  return op.type == "Const" and bool(users) and all(others)


def _is_full_product(op: tf.Operation, precision: str) -> bool:
  """Whether a low-precision model multiplies matrices in float32 here."""
  low = precision in ("bfloat16", "float16")
  return low and op.type in _PRODUCTS and op.outputs[0].dtype == tf.float32


# The first that holds speaks; the others would say the same in other words.
RULES = (
  Rule(
    "host-callback",
    Level.ERROR,
    _is_host,
    "it runs on the host, and a TPU's step cannot leave the device.",
    "rewrite it with TensorFlow operations, or move it to the input pipeline or to aggregate_logs",
  ),
  Rule(
    "non-maximum-suppression",
    Level.ERROR,
    _is_nms,
    "combined non-maximum suppression has a kernel for CPUs alone.",
    "use projects' own suppression of fixed size, such as projects/yolo/ops",
  ),
  Rule(
    "dynamic-shape",
    Level.ERROR,
    _is_dynamic,
    "the size of its result depends on values, and a TPU's shapes are fixed when it compiles.",
    "pad to a fixed size and carry a mask: tf.where with three arguments, tf.math.top_k, masks in "
    "place of boolean_mask",
  ),
  Rule(
    "string",
    Level.ERROR,
    _has_strings,
    "it makes a string, and TPUs have none.",
    "drop strings in the parser, or hand numbers through the step and look names up on the host",
  ),
  Rule(
    "no-kernel",
    Level.ERROR,
    _has_no_kernel,
    "XLA has no kernel for it.",
    "write it with operations that XLA knows, or move it to the input pipeline",
  ),
  Rule(
    "float64",
    Level.WARNING,
    _widens,
    "64-bit floats begin here; a TPU has none and emulates them, many times slower.",
    "give the constant or the cast a dtype: that of the tensor it meets",
  ),
  Rule(
    "float32-product",
    Level.WARNING,
    _is_full_product,
    "a matrix product or convolution in float32 in a model that computes in bfloat16: it moves "
    "twice the bytes.",
    "cast its operands to the layer's compute dtype, or say why float32 is needed",
  ),
  Rule(
    "unknown-dimension",
    Level.WARNING,
    _makes_unknown,
    "a dimension is not known when the step is traced; it compiles only where XLA finds it to be "
    "constant.",
    "set the static shape (tf.ensure_shape, set_shape), or compute sizes in Python",
  ),
)
