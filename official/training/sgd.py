"""Gradient descent in PyTorch's form, which may begin as Ultralytics' YOLOs do."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
import tf_keras

from official.training.wrapping import whole

Schedule = tf_keras.optimizers.schedules.LearningRateSchedule


class SGD(tf_keras.optimizers.legacy.SGD):
  """Gradient descent with momentum as PyTorch and Darknet have it.

  The momentum adds up gradients, v ← m·v + g, and the learning rate multiplies it as it is applied:
  w ← w − r·v, or w − r·(g + m·v) with Nesterov's form. Keras adds up r·g instead: as long as the
  rate does not change the two are the same, but while it warms up Keras' steps lag behind.

  In the first steps momentum and the rate of biases can move to their places in a line, as
  ScaledYOLOv4's and YOLOv7's `train.py` have it: at step i < `warmup_steps`, p = i / warmup_steps,
  momentum is (1 − p)·warmup_momentum + p·momentum, and the rate of biases (of convolutions and of
  BatchNorm) is that of the others plus (1 − p)·warmup_bias_rate.

  Args:
    learning_rate: number or schedule; its own warm-up is a schedule's.
    momentum: share of the old momentum that each step keeps; 0 has none.
    nesterov: whether the step looks ahead.
    warmup_steps: how long momentum and biases' rate move; 0: they stand.
    warmup_momentum: momentum at step 0.
    warmup_bias_rate: by how much biases' rate exceeds the others' at step 0.
    name: of the optimizer.
    **kwargs: as of Keras' optimizers.
  """

  def __init__(
    self,
    learning_rate: float | Schedule = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    warmup_steps: int = 0,
    warmup_momentum: float = 0.0,
    warmup_bias_rate: float = 0.0,
    name: str = "SGD",
    **kwargs: Any,
  ) -> None:
    super().__init__(learning_rate, momentum, nesterov, name, **kwargs)
    self._warmup = {"warmup_steps": warmup_steps, "warmup_momentum": warmup_momentum}
    self._warmup |= {"warmup_bias_rate": warmup_bias_rate}
    self._biases: set[Any] = set()

  def assign_biases(self, biases: Iterable[tf.Variable]) -> None:
    """Says which variables are biases."""
    self._biases = {variable.ref() for variable in biases}

  def _prepare_local(self, var_device: str, var_dtype: tf.DType, apply_state: Any) -> None:
    """Scalars that all variables of a device and dtype share."""
    super()._prepare_local(var_device, var_dtype, apply_state)
    figures = apply_state[(var_device, var_dtype)]
    figures["bias_lr_t"] = figures["lr_t"]
    if steps := self._warmup["warmup_steps"]:
      left = tf.maximum(1 - tf.cast(self.iterations, var_dtype) / steps, 0)
      step_back = figures["momentum"] - tf.constant(self._warmup["warmup_momentum"], var_dtype)
      figures["momentum"] -= left * step_back
      figures["bias_lr_t"] += left * self._warmup["warmup_bias_rate"]

  def _resource_apply_dense(
    self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None
  ) -> tf.Operation:
    place = (var.device, var.dtype.base_dtype)
    figures = (apply_state or {}).get(place) or self._fallback_apply_state(*place)
    rate = figures["bias_lr_t" if whole(var).ref() in self._biases else "lr_t"]
    if not self._momentum:
      return tf.raw_ops.ResourceApplyGradientDescent(
        var=var.handle, alpha=rate, delta=grad, use_locking=self._use_locking
      )
    return tf.raw_ops.ResourceApplyMomentum(
      var=var.handle,
      accum=self.get_slot(var, "momentum").handle,
      lr=rate,
      grad=grad,
      momentum=figures["momentum"],
      use_locking=self._use_locking,
      use_nesterov=self.nesterov,
    )

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._warmup
