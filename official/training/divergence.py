"""Finds the first step whose loss or logged metric is not finite."""

from collections.abc import Mapping

import tensorflow as tf


class Diverged(Exception):
  """Training met a value that is not finite; the message is one line for the user."""


class FiniteWatch:
  """Records, on the device, the first step that logged a value which is not finite.

  `record` costs a few scalar operations a step and is the same in graph mode, XLA and on TPUs;
  `check` is called on the host after each loop, before anything is saved.
  Create it inside the strategy's scope.
  """

  def __init__(self) -> None:
    # Each replica keeps its own; the sum is what all workers see alike.
    options = {
      "trainable": False,
      "synchronization": tf.VariableSynchronization.ON_READ,
      "aggregation": tf.VariableAggregation.SUM,
    }
    self._step = tf.Variable(0, dtype=tf.int64, name="first_bad_step", **options)
    self._metric = tf.Variable(0, dtype=tf.int64, name="first_bad_metric", **options)
    self._names: list[str] = []

  def record(self, logs: Mapping[str, tf.Tensor], step: tf.Tensor) -> None:
    """Notes `step` if a floating-point scalar of `logs` is not finite. Call in replica context.

    Args:
      logs: what the task's train step returned; the first offender in its order is named.
      step: () int64, the number of the step, from 1.
    """
    scalars = {k: v for k, v in logs.items() if v.dtype.is_floating and v.shape.rank == 0}
    self._names = list(scalars)
    bad = [tf.logical_not(tf.math.is_finite(tf.cast(v, tf.float32))) for v in scalars.values()]
    bad = tf.stack(bad)
    first = tf.logical_and(tf.reduce_any(bad), tf.equal(self._step, 0))
    self._step.assign(tf.where(first, step, self._step))
    self._metric.assign(tf.where(first, tf.argmax(tf.cast(bad, tf.int32)), self._metric))

  def check(self) -> None:
    """Raises `Diverged` if a recorded value was not finite; on all workers or on none."""
    if not self._step.numpy():
      return
    strategy = tf.distribute.get_strategy()
    steps = [int(s) for s in strategy.experimental_local_results(self._step)]
    metrics = [int(m) for m in strategy.experimental_local_results(self._metric)]
    here = [
      (step, self._names[metric]) for step, metric in zip(steps, metrics, strict=True) if step
    ]
    if not here:
      raise Diverged("another worker met a value that is not finite; its log names it")
    step, name = min(here)
    raise Diverged(
      f"{name} is not finite at step {step}; the last checkpoint is from before it. "
      "Lower the learning rate, lengthen the warm-up, or look at the data"
    )
