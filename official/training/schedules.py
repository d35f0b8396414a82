"""Learning rates as detectron2 has them, step by step.

The first step is number 0. Computed in the step's dtype where that is a float, as optimizers ask
for it, so that float64 stays float64; else in float32.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

Schedule = tf_keras.optimizers.schedules.LearningRateSchedule


def _as_float(step: tf.Tensor | int) -> tf.Tensor:
  step = tf.convert_to_tensor(step)
  return step if step.dtype.is_floating else tf.cast(step, tf.float32)


class Poly(Schedule):
  """rate · (1 − step / decay_steps) ** power; 0 from the last step on (DeepLab's).

  Args:
    initial_learning_rate: at step 0.
    decay_steps: when it is 0.
    power: of the fall.
  """

  def __init__(self, initial_learning_rate: float, decay_steps: int, power: float) -> None:
    self._config = {"initial_learning_rate": initial_learning_rate}
    self._config |= {"decay_steps": decay_steps, "power": power}

  def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
    step, config = _as_float(step), self._config
    left = tf.maximum(1 - step / config["decay_steps"], 0)
    return config["initial_learning_rate"] * tf.pow(left, tf.constant(config["power"], step.dtype))

  def get_config(self) -> dict[str, Any]:
    return self._config


class Steps(Schedule):
  """Multiplied by `factor` at each boundary, whose own step is the first with the lower rate.

  TFMG's `stepwise` begins to fall one step later.

  Args:
    initial_learning_rate: at step 0.
    boundaries: steps.
    factor: by which the rate falls.
  """

  def __init__(
    self, initial_learning_rate: float, boundaries: Sequence[int], factor: float
  ) -> None:
    self._config = {"initial_learning_rate": initial_learning_rate}
    self._config |= {"boundaries": list(boundaries), "factor": factor}

  def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
    step, config = _as_float(step), self._config
    passed = [tf.cast(step >= boundary, step.dtype) for boundary in config["boundaries"]]
    count = tf.add_n([tf.zeros_like(step), *passed])
    return config["initial_learning_rate"] * tf.pow(
      tf.constant(config["factor"], step.dtype), count
    )

  def get_config(self) -> dict[str, Any]:
    return self._config


class ProductWarmup(Schedule):
  """Another schedule times a share that rises evenly from `factor` to 1 at `warmup_steps`.

  TFMG's `linear` rises to the value that the other schedule has at `warmup_steps`, and ignores it
  before.

  Args:
    after_warmup_lr_sched: the other schedule, or a number.
    warmup_steps: how long.
    factor: at step 0.
  """

  def __init__(
    self, after_warmup_lr_sched: Schedule | float, warmup_steps: int, factor: float
  ) -> None:
    self._schedule = after_warmup_lr_sched
    self._config = {"warmup_steps": warmup_steps, "factor": factor}

  def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
    step = _as_float(step)
    rate = self._schedule(step) if callable(self._schedule) else self._schedule
    passed = tf.minimum(step / self._config["warmup_steps"], 1)
    return rate * (self._config["factor"] * (1 - passed) + passed)

  def get_config(self) -> dict[str, Any]:
    return {"after_warmup_lr_sched": self._schedule} | self._config
