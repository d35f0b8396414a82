"""What the workers of a strategy have found, brought together on each of them."""

import io
import pickle
from typing import Any, Protocol

import numpy as np
import tensorflow as tf


class Mergeable(Protocol):
  """An evaluator whose parts can be put together."""

  def state(self) -> Any:
    """What was added; can be pickled."""

  def merge(self, state: Any) -> None:
    """Adds another worker's `state`."""

  def evaluate(self) -> dict[str, float]:
    """The figures."""


def merge_workers(evaluator: Mergeable) -> None:
  """Adds what the other workers' evaluators of the same kind have found to `evaluator`.

  All workers call it within the strategy's scope, as Orbit calls `reduce_aggregated_logs`. A
  strategy with one worker has nothing to add.
  """
  strategy = tf.distribute.get_strategy()
  if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
    return
  local = len(strategy.extended.worker_devices)
  own = _first_replica(strategy) // local
  for worker, state in enumerate(_gather(strategy, evaluator.state(), local)):
    if worker != own:
      evaluator.merge(state)


def _first_replica(strategy: tf.distribute.Strategy) -> int:
  """The number of this worker's first replica, among all workers'."""
  numbers: list[int] = []
  strategy.experimental_distribute_values_from_function(
    lambda context: numbers.append(context.replica_id_in_sync_group) or 0
  )
  return min(numbers)


def _gather(strategy: tf.distribute.Strategy, state: Any, local: int) -> list[Any]:
  """The states of all workers, in the order of their replicas.

  Collectives know no bytes: each travels as an int32, on the worker's first replica.
  """
  packed = np.frombuffer(pickle.dumps(state), np.uint8).astype(np.int32)

  def of_replica(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
    is_first = context.replica_id_in_sync_group % local == 0
    return tf.constant(packed if is_first else packed[:0])

  values = strategy.experimental_distribute_values_from_function(of_replica)
  stream = io.BytesIO(strategy.gather(values, axis=0).numpy().astype(np.uint8).tobytes())
  return [pickle.load(stream) for _ in range(strategy.num_replicas_in_sync // local)]
