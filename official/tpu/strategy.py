"""The strategy under which one replica's program is traced as `TPUStrategy` has it."""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.python.distribute import distribute_lib, one_device_strategy

ReduceOp = tf.distribute.ReduceOp


class ReplicaStrategy(distribute_lib.Strategy):
  """One replica of `replicas`, whose sums over replicas become all-reduces of its program.

  `TPUStrategy` compiles one program that every core runs on its own part of the batch. Here that
  program is traced on a machine without cores: variables are plain, since each core sees only its
  own copy, and what the strategy sums (gradients in `apply_gradients`, statistics of a synchronized
  BatchNorm, `ReplicaContext.all_reduce`) is XLA's `AllReduce` over all replicas.

  Deviates from `TPUStrategy` in that a variable that each core keeps for itself (BatchNorm's
  statistics) is not averaged where an optimizer reads it to update its moving average of it.

  Args:
    replicas: how many there are; with one, nothing is summed.
  """

  def __init__(self, replicas: int) -> None:
    super().__init__(_ReplicaExtended(self, replicas))


class _ReplicaExtended(one_device_strategy.OneDeviceExtended):
  def __init__(self, strategy: ReplicaStrategy, replicas: int) -> None:
    super().__init__(strategy, "/cpu:0")
    self._replicas = replicas

  @property
  def _num_replicas_in_sync(self) -> int:
    return self._replicas

  def _reduce_to(self, reduce_op: ReduceOp, value: Any, destinations: Any, options: Any) -> Any:
    del destinations, options
    return self._all_reduce(reduce_op, value)

  def _batch_reduce_to(
    self, reduce_op: ReduceOp, value_destination_pairs: Iterable[Sequence[Any]], options: Any
  ) -> list[Any]:
    del options
    return [self._all_reduce(reduce_op, value) for value, _ in value_destination_pairs]

  def _replica_ctx_all_reduce(self, reduce_op: ReduceOp, value: Any, options: Any = None) -> Any:
    del options
    return tf.nest.map_structure(lambda each: self._all_reduce(reduce_op, each), value)

  def _all_reduce(self, reduce_op: ReduceOp, value: Any) -> tf.Tensor:
    value = tf.convert_to_tensor(value)
    if self._replicas == 1:
      return value
    groups = tf.constant([list(range(self._replicas))])
    total = gen_xla_ops.xla_all_reduce(value, groups, reduce_op="Add", mode="CrossReplica")
    total.set_shape(value.shape)
    return total / self._replicas if reduce_op == ReduceOp.MEAN else total
