"""AdamW in PyTorch's form, with a rate and a decay of each variable's own."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from official.training.wrapping import whole

Pairs = list[tuple[tf.Tensor, tf.Variable]]
Rate = float | tf_keras.optimizers.schedules.LearningRateSchedule


@dataclasses.dataclass(frozen=True)
class Group:
  """What variables of one role share.

  Attributes:
    multiplier: of the learning rate.
    decays: whether weight decay is theirs.
  """

  multiplier: float = 1.0
  decays: bool = True


class AdamW(tf_keras.optimizers.legacy.Optimizer):
  """Adam with decoupled weight decay (Loshchilov & Hutter 2019, alg. 2), as `torch.optim.AdamW`.

  Keras' own adds epsilon to the root of the uncorrected second moment, which is another optimizer
  while steps are few or gradients small; TFMG's does without the correction. Both tell variables
  apart by their names only.

  The gradient of all variables together can be clipped, after it has been summed over replicas and
  unscaled: where its norm exceeds `clip_norm`, it is multiplied by clip_norm / (norm + 1e-6), as
  `torch.nn.utils.clip_grad_norm_`.

  Args:
    learning_rate: number or schedule; a number is kept in float32.
    weight_decay: share of a variable that a learning rate of 1 takes away.
    clip_norm: greatest norm of the gradient; 0 does not clip.
    beta_1: share of the old first moment that each step keeps.
    beta_2: the same of the second moment.
    epsilon: added to the root of the corrected second moment.
    name: of the optimizer.
    **kwargs: as of Keras' optimizers.
  """

  _HAS_AGGREGATE_GRAD = True

  def __init__(
    self,
    learning_rate: Rate = 1e-3,
    weight_decay: float = 0.01,
    clip_norm: float = 0.0,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    name: str = "AdamW",
    **kwargs: Any,
  ) -> None:
    super().__init__(name, **kwargs)
    self._set_hyper("learning_rate", learning_rate)
    self._config = {"weight_decay": weight_decay, "clip_norm": clip_norm}
    self._config |= {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    self._group_of: Callable[[tf.Variable], Group] = lambda variable: Group()

  def assign_groups(self, groups: Mapping[Any, Group]) -> None:
    """Says which variable is of which group.

    Args:
      groups: by the variables' `ref()`; those that are not in it are of the default group.
    """
    self._group_of = lambda variable: groups.get(whole(variable).ref(), Group())

  def _create_slots(self, var_list: list[tf.Variable]) -> None:
    for variable in var_list:
      self.add_slot(variable, "m")
      self.add_slot(variable, "v")

  def _prepare_local(self, var_device: str, var_dtype: tf.DType, apply_state: Any) -> None:
    """Scalars that all variables of a device and dtype share."""
    super()._prepare_local(var_device, var_dtype, apply_state)
    step = tf.cast(self.iterations + 1, var_dtype)
    powers = [
      tf.pow(tf.constant(self._config[beta], var_dtype), step) for beta in ("beta_1", "beta_2")
    ]
    apply_state[(var_device, var_dtype)] |= {"beta_1_power": powers[0], "beta_2_power": powers[1]}

  def _transform_gradients(self, grads_and_vars: Pairs) -> Pairs:
    """Called behind the sum over replicas."""
    # Of tables, gradients are sparse: their norm is not that of their values.
    gradients, variables = zip(*super()._transform_gradients(grads_and_vars), strict=True)
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    if limit := self._config["clip_norm"]:
      gradients = clip_by_global_norm(gradients, limit)
    return list(zip(gradients, variables, strict=True))

  def _resource_apply_dense(
    self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None
  ) -> tf.Operation:
    place = (var.device, var.dtype.base_dtype)
    figures = (apply_state or {}).get(place) or self._fallback_apply_state(*place)
    group, config = self._group_of(var), self._config
    rate = figures["lr_t"] * group.multiplier
    if group.decays and config["weight_decay"]:
      var.assign_sub(rate * config["weight_decay"] * var, use_locking=self._use_locking)
    # The kernel adds epsilon to the root of the uncorrected moment.
    epsilon = config["epsilon"] * tf.sqrt(1 - figures["beta_2_power"])
    return tf.raw_ops.ResourceApplyAdam(
      var=var.handle,
      m=self.get_slot(var, "m").handle,
      v=self.get_slot(var, "v").handle,
      beta1_power=figures["beta_1_power"],
      beta2_power=figures["beta_2_power"],
      lr=rate,
      beta1=tf.constant(config["beta_1"], grad.dtype),
      beta2=tf.constant(config["beta_2"], grad.dtype),
      epsilon=epsilon,
      grad=grad,
      use_locking=self._use_locking,
    )

  def get_config(self) -> dict[str, Any]:
    rate = self._serialize_hyperparameter("learning_rate")
    return super().get_config() | {"learning_rate": rate} | self._config


def clip_by_global_norm(gradients: list[tf.Tensor], limit: float) -> list[tf.Tensor]:
  """Scales gradients down together where the norm of all of them exceeds `limit`."""
  norm = tf.sqrt(tf.add_n([tf.reduce_sum(gradient**2) for gradient in gradients]))
  scale = tf.minimum(limit / (norm + 1e-6), 1)
  return [gradient * scale for gradient in gradients]
