"""Activations by name, with gradients that recompute instead of storing intermediates."""

from collections.abc import Callable

import tensorflow as tf


@tf.custom_gradient
def mish(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
  """x · tanh(softplus(x)) (Misra 2019, eq. 1), any float dtype.

  With e = exp(x), tanh(softplus(x)) = (e² + 2e) / (e² + 2e + 2): one exponential, and its only
  stored tensor is x. Above 20 the ratio is 1 in every dtype.
  """

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
  """max(x, 0.1 · x): Darknet's leaky rectifier."""
  return tf.nn.leaky_relu(x, alpha=0.1)


ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
  "leaky": leaky,
  "linear": tf.identity,
  "mish": mish,
}
