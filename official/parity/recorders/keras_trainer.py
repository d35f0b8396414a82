"""Trains a Keras network by its project's own task, and tells all that a step changes."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras.src.optimizers.legacy import optimizer_v2

from official.core import base_task
from official.modeling import optimization
from official.parity.keys import TOTAL
from official.parity.recorders import slots
from official.parity.recorders.keras_double import double
from official.parity.recorders.keras_names import buffer_names, parameter_names
from official.parity.recorders.keras_recorder import assign
from official.training.averages import WeightAverages

Schedule = tf_keras.optimizers.schedules.LearningRateSchedule
Legacy = tf_keras.optimizers.legacy.Optimizer
State = Mapping[tuple[str, str], np.ndarray]


class TaskTrainer:
  """Implements `case.Trainer`: each step is the task's own `train_step`, compiled to a graph.

  `state()` has, besides parameters and buffers: slots (`slots.KERAS`), averages (as
  `official.training.trainer.Trainer` starts them), `("rate", "learning_rate")`, which the next step
  will use, and `("rate", "steps")`, how many were made. All are there before the first step.

  In a float64 network the optimizer computes in float64 throughout (`keras_double`).

  Args:
    task: of the project.
    model: made by the task, its variables too.
    optimizer: builds the experiment's optimizer (`train_utils.create_optimizer(task, params)`).
    inputs: the batch's tensors → what `train_step` takes.
  """

  def __init__(
    self,
    task: base_task.Task,
    model: tf_keras.Model,
    optimizer: Callable[[], tf_keras.optimizers.Optimizer],
    inputs: Callable[[Mapping[str, tf.Tensor]], Any] = lambda batch: batch,
  ) -> None:
    self.model = model
    self._task = task
    self._inputs = inputs
    self._exact = any(v.dtype == tf.float64 for v in model.trainable_variables)
    self._averages = None
    self.optimizer = None
    with self._precision():
      self.optimizer = optimizer()
      self._base = getattr(self.optimizer, "_optimizer", self.optimizer)  # Of an average around it.
      self._create_variables()
    self._step = tf.function(self._train_step)

  def step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """One training step; returns what the task logs, its loss as "total"."""
    with self._precision():
      logs = dict(self._step(batch))
    return {TOTAL: logs.pop(self._task.loss), **logs}

  def state(self) -> dict[tuple[str, str], np.ndarray]:
    """Copies of all that a step changes; see the class."""
    state = {key: variable.numpy() for key, variable in self._variables().items()}
    state["rate", "learning_rate"] = np.float64(self._learning_rate())
    state["rate", "steps"] = np.int64(self.optimizer.iterations.numpy())
    return state

  def load(self, state: State) -> None:
    """Goes on from `state`. The learning rate follows from the steps made: the schedule's, if any.

    Raises:
      KeyError: names are not exactly those of `state()`.
      ValueError: a shape differs.
    """
    assign(
      {"/".join(key): variable for key, variable in self._variables().items()},
      {"/".join(key): array for key, array in state.items() if key[0] != "rate"},
    )
    self.optimizer.iterations.assign(int(state["rate", "steps"]))

  def _train_step(self, batch: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
    return self._task.train_step(self._inputs(batch), model=self.model, optimizer=self.optimizer)

  def _create_variables(self) -> None:
    trained = self.model.trainable_variables
    if isinstance(self.optimizer, optimization.ExponentialMovingAverage):
      self.optimizer.shadow_copy(self.model)
      self._averages = WeightAverages(self.optimizer)
      self._averages.start()
    if isinstance(self._base, Legacy):
      if self._exact:  # Keras makes variables of them, in the dtype of the numbers.
        numbers = {k: v for k, v in self._base._hyper.items() if isinstance(v, float)}
        self._base._hyper.update({name: np.float64(value) for name, value in numbers.items()})
      self._base._create_all_weights(trained)
    else:
      self._base.build(trained)

  def _variables(self) -> dict[tuple[str, str], tf.Variable]:
    parameters, buffers = parameter_names(self.model), buffer_names(self.model)
    found = {("parameter", name): variable for name, variable in parameters.items()}
    found |= {("buffer", name): variable for name, variable in buffers.items()}
    for name, variable in parameters.items():
      for slot, value in _slots(self._base, variable).items():
        found["slot", f"{name}|{slot}"] = value
    if self._averages:
      names = {id(variable): name for name, variable in (parameters | buffers).items()}
      found |= {("average", names[id(own)]): average for average, own in self._averages.pairs}
    return found

  def _learning_rate(self) -> tf.Tensor:
    with self._precision():
      if not isinstance(self._base, Legacy):
        rate = self._base._learning_rate
        return rate(self._base.iterations) if isinstance(rate, Schedule) else rate
      return self._base._decayed_lr(tf.float64 if self._exact else tf.float32)

  def _precision(self) -> contextlib.AbstractContextManager[None]:
    return double(self.optimizer) if self._exact else contextlib.nullcontext()


def _slots(
  optimizer: tf_keras.optimizers.Optimizer, variable: tf.Variable
) -> dict[str, tf.Variable]:
  """The optimizer's own variables that belong to `variable`, under their common names."""
  if isinstance(optimizer, Legacy):
    return dict(optimizer._slots.get(optimizer_v2._var_key(variable), {}))
  index = optimizer._index_dict.get(optimizer._var_key(variable))
  lists = [(name, value) for name, value in vars(optimizer).items() if _are_slots(name, value)]
  return {} if index is None else {_common(optimizer, name): v[index] for name, v in lists}


def _are_slots(name: str, value: Any) -> bool:
  if name == "_variables":  # All that the optimizer keeps, in one list.
    return False
  return isinstance(value, list) and bool(value) and all(isinstance(v, tf.Variable) for v in value)


def _common(optimizer: tf_keras.optimizers.Optimizer, attribute: str) -> str:
  qualified = f"{type(optimizer).__name__}.{attribute}"
  return slots.KERAS.get(qualified) or slots.KERAS.get(attribute) or attribute.strip("_")
