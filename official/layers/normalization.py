"""Batch normalization that means the same in every dtype.

Keras normalizes float32 and float64 by different kernels, and the two disagree on the moving
variance: the fused kernel tracks the unbiased estimate (n / (n − 1), as PyTorch and Darknet do),
the other the biased one. Parity is judged in float64, so ours is unbiased in both.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.tape import off_tape


@tf_keras.utils.register_keras_serializable(package="Transplant")
class BatchNorm(tf_keras.layers.Layer):
  """Normalizes the last axis of [b, h, w, c] by batch statistics (Ioffe & Szegedy 2015, alg. 1).

  Statistics are those of the replica. Under bfloat16 or float16 compute, parameters and statistics
  stay float32.

  Args:
    momentum: share of the old moving statistic that each step keeps; PyTorch's is 1 − this.
    epsilon: added to the variance before the square root.
  """

  def __init__(self, momentum: float = 0.97, epsilon: float = 1e-5, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.momentum = momentum
    self.epsilon = epsilon

  def build(self, input_shape: tf.TensorShape) -> None:
    shape = (input_shape[-1],)
    self.gamma = self._add_parameter("gamma", shape, "ones")
    self.beta = self._add_parameter("beta", shape, "zeros")
    statistic = {
      "trainable": False,
      "synchronization": tf.VariableSynchronization.ON_READ,
      "aggregation": tf.VariableAggregation.MEAN,
    }
    self.moving_mean = self._add_parameter("moving_mean", shape, "zeros", **statistic)
    self.moving_variance = self._add_parameter("moving_variance", shape, "ones", **statistic)
    super().build(input_shape)

  def _add_parameter(
    self, name: str, shape: tuple[int], initializer: str, **options: Any
  ) -> tf.Variable:
    dtype = "float64" if self.dtype == "float64" else "float32"
    return self.add_weight(name, shape, dtype, initializer, experimental_autocast=False, **options)

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    normalize = _normalize_float64 if inputs.dtype == tf.float64 else _normalize_fused
    if not (training and self.trainable):
      return normalize(
        inputs, self.gamma, self.beta, self.epsilon, (self.moving_mean, self.moving_variance)
      )[0]
    outputs, mean, variance = normalize(inputs, self.gamma, self.beta, self.epsilon, None)
    self._move(mean, variance)
    return outputs

  def _move(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
    """Moves the statistics towards a batch's, of which the variance is the unbiased one."""
    for statistic, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
      statistic.assign_sub((statistic - value) * (1 - self.momentum))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}


_Normalized = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def _normalize_fused(
  x: tf.Tensor,
  gamma: tf.Tensor,
  beta: tf.Tensor,
  epsilon: float,
  statistics: tuple[tf.Tensor, tf.Tensor] | None,
) -> _Normalized:
  """One kernel for float32, bfloat16 and float16; its batch variance is the unbiased one."""
  mean, variance = statistics or (tf.zeros([0]), tf.zeros([0]))
  outputs = tf.raw_ops.FusedBatchNormV3(
    x=x,
    scale=gamma,
    offset=beta,
    mean=mean,
    variance=variance,
    epsilon=epsilon,
    is_training=statistics is None,
  )
  return outputs.y, outputs.batch_mean, outputs.batch_variance


def _normalize_float64(
  x: tf.Tensor,
  gamma: tf.Tensor,
  beta: tf.Tensor,
  epsilon: float,
  statistics: tuple[tf.Tensor, tf.Tensor] | None,
) -> _Normalized:
  gamma, beta = tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta)
  if statistics:
    mean, variance = statistics
    return (x - mean) * (gamma * tf.math.rsqrt(variance + epsilon)) + beta, mean, variance
  mean, variance = tf.nn.moments(off_tape(x), axes=list(range(x.shape.rank - 1)))
  outputs = _normalize_by_own(x, gamma, beta, mean, tf.math.rsqrt(variance + epsilon))
  count = _count(x)
  return outputs, mean, variance * count / tf.maximum(count - 1, 1)


@tf.custom_gradient
def _normalize_by_own(
  x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, mean: tf.Tensor, inverse: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
  """Normalizes by the statistics of x itself; of tensors of x's size it stores x alone.

  `inverse` is 1 / √(variance + ε). The gradient, first order only, is that of Ioffe & Szegedy 2015,
  sec. 3, and runs through the statistics too.
  """
  x, gamma, beta = off_tape(x), off_tape(gamma), off_tape(beta)

  def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    axes = list(range(x.shape.rank - 1))
    normalized = (x - mean) * inverse
    d_beta = tf.reduce_sum(upstream, axes)
    d_gamma = tf.reduce_sum(upstream * normalized, axes)
    along = (d_beta + normalized * d_gamma) / _count(x)
    return gamma * inverse * (upstream - along), d_gamma, d_beta, None, None

  return (x - mean) * (gamma * inverse) + beta, gradient


def _count(x: tf.Tensor) -> tf.Tensor:
  """How many entries of x each channel has."""
  return tf.cast(tf.size(x) // tf.shape(x)[-1], x.dtype)
