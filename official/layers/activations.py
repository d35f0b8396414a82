"""Activations by name, with gradients that recompute instead of storing intermediates."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.precision import wide
from official.layers.tape import off_tape


@tf.custom_gradient
def mish(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
  """x · tanh(softplus(x)) (Misra 2019, eq. 1), any float dtype.

  With e = exp(x), tanh(softplus(x)) = (e² + 2e) / (e² + 2e + 2): one exponential, and its only
  stored tensor is x. Above 20 the ratio is 1 in every dtype.
  """
  x = off_tape(x)

  def ratio_and_exp() -> tuple[tf.Tensor, tf.Tensor]:
    exp = tf.exp(tf.minimum(x, tf.constant(20.0, x.dtype)))
    n = exp * (exp + 2)
    return n / (n + 2), exp

  def gradient(upstream: tf.Tensor) -> tf.Tensor:
    ratio, exp = ratio_and_exp()
    sigmoid = exp / (1 + exp)
    return upstream * (ratio + x * sigmoid * (1 - tf.square(ratio)))

  return x * ratio_and_exp()[0], gradient


def leaky(x: tf.Tensor) -> tf.Tensor:
  """max(x, 0.1 · x), Darknet's leaky rectifier, any float dtype."""
  if x.dtype == tf.float64:
    return tf.where(x > 0, x, 0.1 * x)  # The op rounds its slope to float32.
  return tf.nn.leaky_relu(x, alpha=0.1)


def gelu(x: tf.Tensor) -> tf.Tensor:
  """x · Φ(x), any float dtype, computed in at least float32.

  `tf.nn.gelu` rounds √2 to float32 even in float64, and every step of it to bfloat16.
  """
  y = wide(x)
  return tf.cast(0.5 * y * (1 + tf.math.erf(y * 2**-0.5)), x.dtype)


ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
  "gelu": gelu,
  "leaky": leaky,
  "linear": tf.identity,
  "logistic": tf.sigmoid,
  "mish": mish,
  "relu": tf.nn.relu,
  "relu6": tf.nn.relu6,
  "swish": tf.nn.silu,
}


@tf_keras.utils.register_keras_serializable(package="Transplant")
class Activation(tf_keras.layers.Layer):
  """An activation as a layer; `activation` is a key of `ACTIVATIONS`."""

  def __init__(self, activation: str, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.activation = activation

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return ACTIVATIONS[self.activation](inputs)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"activation": self.activation}
