"""TFMG's Trainer, with exact weight averages and a watch on values that are not finite."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from official.core import base_trainer
from official.modeling import optimization
from official.training.averages import WeightAverages
from official.training.divergence import FiniteWatch
from official.training.interruption import Interruption


class Trainer(base_trainer.Trainer):
  """Trains and evaluates a task; create it inside the strategy's scope.

  Deviates from TFMG's in that:
  - an evaluation leaves the weights bit for bit as they were (`WeightAverages`), also when it
    is interrupted;
  - averages start from the initial or pretrained weights;
  - the optimizer's variables are made before the first step: made within it, on more than one
    device TensorFlow fails for some networks with "You must feed a value for placeholder tensor";
  - every scalar that the task logs at a step is watched (`FiniteWatch`);
  - `runtime.enable_xla` compiles the step on CPUs too, not only on GPUs;
  - an evaluation stops between two batches if a stop was asked for.

  Args:
    *args: as of TFMG's Trainer.
    train: whether it trains; as of TFMG's Trainer.
    interruption: tells when to stop an evaluation; None never does.
    **kwargs: as of TFMG's Trainer.
  """

  def __init__(
    self,
    *args: Any,
    train: bool = True,
    interruption: Interruption | None = None,
    **kwargs: Any,
  ) -> None:
    super().__init__(*args, train=train, **kwargs)
    self._interruption = interruption
    self.watch = FiniteWatch()
    self.averages = None
    if isinstance(self.optimizer, optimization.ExponentialMovingAverage):
      self.averages = WeightAverages(self.optimizer)
      # The inherited eval_begin and eval_end call this.
      self.optimizer.swap_weights = self.averages.exchange
    if train:
      base = self.optimizer._optimizer if self.averages else self.optimizer
      base._create_all_weights(self.model.trainable_variables)

  def initialize(self) -> None:
    """Loads the task's pretrained weights, if any, and starts the averages from the weights."""
    super().initialize()
    self.start_averages()

  def start_averages(self) -> None:
    """Sets the averages, if there are any, to the weights."""
    if self.averages:
      self.averages.start()

  def align_replicas(self) -> None:
    """Sets what each replica keeps for itself (BatchNorm's statistics) to the replicas' mean.

    A checkpoint holds the mean. A run that goes on with what it restores is then the same, bit
    for bit, as one that goes on after saving. Call it before saving, on all workers.
    """
    if self.strategy.num_replicas_in_sync > 1:
      self._align(self._own_variables())

  def _own_variables(self) -> list[tf.Variable]:
    mean = tf.VariableAggregation.MEAN
    own = [v for v in self.model.variables if _is_on_read(v) and v.aggregation == mean]
    if not self.averages:
      return own
    return own + [a for a, weight in self.averages.pairs if any(weight is v for v in own)]

  def _align(self, variables: list[tf.Variable]) -> None:
    values = self.strategy.run(tf.function(lambda: [v.read_value() for v in variables]))
    for variable, value in zip(variables, values, strict=True):
      mean = self.strategy.reduce("MEAN", value, axis=None)
      self.strategy.extended.update(variable, lambda own, mean: own.assign(mean), args=(mean,))

  def train_step(self, iterator: tf.data.Iterator) -> None:
    """One step, on all replicas; `logs` of the task's step must hold scalars under fixed names."""

    def step_fn(inputs: Any) -> None:
      logs = self._task_step()(
        inputs, model=self.model, optimizer=self.optimizer, metrics=self.train_metrics
      )
      self._train_loss.update_state(logs[self.task.loss])
      self.watch.record(logs, self.global_step + 1)
      self.global_step.assign_add(1)

    inputs = self.next_train_inputs(iterator)
    self.strategy.run(step_fn, args=(inputs,), options=self._runtime_options)

  def _task_step(self) -> Callable[..., Mapping[str, tf.Tensor]]:
    # A TPU compiles the whole step anyway.
    if self.config.runtime.enable_xla and not isinstance(self.strategy, tf.distribute.TPUStrategy):
      return tf.function(self.task.train_step, jit_compile=True)
    return self.task.train_step

  def evaluate(self, num_steps: tf.Tensor) -> Mapping[str, Any] | None:
    """Evaluates; whatever happens, the model holds its own weights afterwards."""
    try:
      return super().evaluate(num_steps)
    finally:
      if self.averages and self.averages.in_model:
        self.averages.exchange()

  def eval_reduce(self, state: Any = None, step_outputs: Any = None) -> Any:
    """Hands one evaluation batch's outputs to the task."""
    if self._interruption:
      self._interruption.check()
    return super().eval_reduce(state, step_outputs)


def _is_on_read(variable: tf.Variable) -> bool:
  return variable.synchronization == tf.VariableSynchronization.ON_READ
