"""What optimizers of replicated variables, wrapped in one another, have in common."""

import tensorflow as tf
import tf_keras


def innermost(optimizer: tf_keras.optimizers.Optimizer) -> tf_keras.optimizers.Optimizer:
  """The optimizer inside loss scaling and weight averaging."""
  while hasattr(optimizer, "inner_optimizer") or hasattr(optimizer, "_optimizer"):
    optimizer = getattr(optimizer, "inner_optimizer", None) or optimizer._optimizer
  return optimizer


def whole(variable: tf.Variable) -> tf.Variable:
  """The variable that `variable` is one replica's part of."""
  for holder in (variable, variable.handle):  # Resource variables keep it in the handle.
    if container := getattr(holder, "_distributed_container", None):
      return container()
  return variable
