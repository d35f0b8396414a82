"""Optimizers that TFMG lacks, under names that a configuration can choose."""

import dataclasses
from typing import Any

import tensorflow as tf
import tf_keras

from official.modeling import optimization
from official.modeling.optimization.configs import optimization_config, optimizer_config

_NAME = "sgd_torch"


class SGD(tf_keras.optimizers.legacy.SGD):
  """Gradient descent with momentum as PyTorch and Darknet have it.

  The momentum adds up gradients, v ← m·v + g, and the learning rate multiplies it as it is applied:
  w ← w − r·v, or w − r·(g + m·v) with Nesterov's form. Keras adds up r·g instead: as long as the
  rate does not change the two are the same, but while it warms up Keras' steps lag behind.
  """

  def _resource_apply_dense(
    self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None
  ) -> tf.Operation:
    if not self._momentum:
      return super()._resource_apply_dense(grad, var, apply_state)
    place = (var.device, var.dtype.base_dtype)
    figures = (apply_state or {}).get(place) or self._fallback_apply_state(*place)
    return tf.raw_ops.ResourceApplyMomentum(
      var=var.handle,
      accum=self.get_slot(var, "momentum").handle,
      lr=figures["lr_t"],
      grad=grad,
      momentum=figures["momentum"],
      use_locking=self._use_locking,
      use_nesterov=self.nesterov,
    )


@dataclasses.dataclass
class OptimizerConfig(optimization_config.OptimizerConfig):
  """TFMG's choice of optimizers, and `SGD` above as `sgd_torch`."""

  sgd_torch: optimizer_config.SGDConfig = dataclasses.field(
    default_factory=optimizer_config.SGDConfig
  )


@dataclasses.dataclass
class OptimizationConfig(optimization.OptimizationConfig):
  """TFMG's optimization, with the larger choice of optimizers."""

  optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)


optimization.register_optimizer_cls(_NAME, SGD)
