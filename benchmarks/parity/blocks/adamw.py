"""AdamW in PyTorch's form, with a learning rate and a decay of each variable's own."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras


@dataclasses.dataclass(frozen=True)
class Group:
  """What variables of one role share.

  Attributes:
    multiplier: of the learning rate.
    decay: share of the variable that a learning rate of 1 takes away.
  """

  multiplier: float = 1.0
  decay: float = 0.0


class AdamW(tf_keras.optimizers.Optimizer):
  """Adam with decoupled weight decay (Loshchilov & Hutter 2019, alg. 2).

  `tf_keras.optimizers.AdamW` adds epsilon to the uncorrected second moment, which is another
  optimizer while steps are few or gradients small; and knows one learning rate only.

  Args:
    learning_rate: number or schedule.
    group: of each variable, by its name.
    beta_1: share of the old first moment that each step keeps.
    beta_2: the same of the second moment.
    epsilon: added to the root of the corrected second moment.
  """

  def __init__(
    self,
    learning_rate: Any,
    group: Callable[[tf.Variable], Group],
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    name: str = "AdamW",
  ) -> None:
    super().__init__(name)
    self._learning_rate = self._build_learning_rate(learning_rate)
    self.group = group
    self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

  def build(self, var_list: list[tf.Variable]) -> None:
    super().build(var_list)
    if not hasattr(self, "_momentums"):
      self._momentums = [self.add_variable_from_reference(v, "m") for v in var_list]
      self._velocities = [self.add_variable_from_reference(v, "v") for v in var_list]

  def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
    """One variable's step."""
    index = self._index_dict[self._var_key(variable)]
    first, second = self._momentums[index], self._velocities[index]
    group = self.group(variable)
    rate = tf.cast(self.learning_rate, variable.dtype) * group.multiplier
    variable.assign_sub(rate * group.decay * variable)
    first.assign(self.beta_1 * first + (1 - self.beta_1) * gradient)
    second.assign(self.beta_2 * second + (1 - self.beta_2) * gradient**2)
    step = tf.cast(self.iterations + 1, variable.dtype)
    corrected_first = first / (1 - tf.pow(tf.constant(self.beta_1, step.dtype), step))
    corrected_second = second / (1 - tf.pow(tf.constant(self.beta_2, step.dtype), step))
    variable.assign_sub(rate * corrected_first / (tf.sqrt(corrected_second) + self.epsilon))

  def get_config(self) -> dict[str, Any]:
    rate = self._serialize_hyperparameter(self._learning_rate)
    betas = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
    return super().get_config() | {"learning_rate": rate, "group": self.group} | betas
