"""Which operations XLA can compile."""

import functools

import tensorflow as tf
from tensorflow.python.framework import kernels

# What the compiler handles without a kernel: arguments, calls, control flow, bookkeeping.
_HANDLED = frozenset(
  [
    "_Arg",
    "_Retval",
    "Placeholder",
    "PlaceholderWithDefault",
    "NoOp",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "If",
    "StatelessIf",
    "While",
    "StatelessWhile",
    "Case",
    "StatelessCase",
    "Const",
    "Assert",
    "VarIsInitializedOp",
    "DisableCopyOnRead",
    "DestroyResourceOp",
  ]
)
_BACKEND = "XLA_CPU_JIT"


def compiles(op: tf.Operation) -> bool:
  """Whether XLA has a kernel for the type of `op`.

  The list is that of tf2xla, which is the same for all kinds of devices but for a few that TPUs
  have beyond it (embeddings, infeeds), which are no part of a step.
  """
  return op.type in _HANDLED or op.type in _compiled()


@functools.cache
def _compiled() -> frozenset[str]:
  _register()
  registered = kernels.get_all_registered_kernels().kernel
  return frozenset(kernel.op for kernel in registered if kernel.device_type == _BACKEND)


def _register() -> None:
  """XLA registers its kernels when it first compiles."""
  function = tf.function(lambda x: x + 1, jit_compile=True, autograph=False)
  function.experimental_get_compiler_ir(tf.TensorSpec([]))(stage="hlo")
