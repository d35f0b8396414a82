"""Darknet's activations that no network of our own has.

Source: `activations.h` and `activations.c` of AlexeyAB's Darknet (public domain), whose constants
these are, rounded as there. All take and return any float dtype, elementwise but for the
normalizations, which see the channels of one pixel.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.activations import ACTIVATIONS, leaky
from official.layers.convolution import ConvNorm

_EPSILON = 1e-4  # Of the normalizations.


def _gelu(x: tf.Tensor) -> tf.Tensor:
  return 0.5 * x * (1 + tf.tanh(0.797885 * x + 0.035677 * x**3))


def _elu(x: tf.Tensor) -> tf.Tensor:
  return tf.where(x >= 0, x, tf.math.expm1(tf.minimum(x, 0)))


def _selu(x: tf.Tensor) -> tf.Tensor:
  return 1.0507 * tf.where(x >= 0, x, 1.6732 * tf.math.expm1(tf.minimum(x, 0)))


def _plse(x: tf.Tensor) -> tf.Tensor:
  return 0.125 * tf.clip_by_value(x, -4, 4) + 0.5 + 0.01 * (x - tf.clip_by_value(x, -4, 4))


def _lhtan(x: tf.Tensor) -> tf.Tensor:
  return tf.clip_by_value(x, 0, 1) + 0.001 * (x - tf.clip_by_value(x, 0, 1))


def _stair(x: tf.Tensor) -> tf.Tensor:
  """Level where ⌊x⌋ is even, rising by 1 where it is odd."""
  whole = tf.floor(x)
  odd = whole - 2 * tf.floor(whole / 2)
  return tf.floor(x / 2) + odd * (x - whole)


def _hard_mish(x: tf.Tensor) -> tf.Tensor:
  return tf.where(x > 0, x, tf.where(x > -2, x * x / 2 + x, tf.zeros_like(x)))


def _normalize(x: tf.Tensor) -> tf.Tensor:
  positive = tf.nn.relu(x)
  return positive / (tf.reduce_sum(positive, -1, keepdims=True) + _EPSILON)


def _softmax(x: tf.Tensor) -> tf.Tensor:
  exp = tf.exp(x)
  return exp / (tf.reduce_sum(exp, -1, keepdims=True) + _EPSILON)


def _softmax_of_maximum(x: tf.Tensor) -> tf.Tensor:
  return _softmax(x - tf.reduce_max(x, -1, keepdims=True))


DARKNETS_OWN: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
  "elu": _elu,
  "gelu": _gelu,  # By tanh; `ACTIVATIONS` has the exact one.
  "hard_mish": _hard_mish,
  "hardtan": lambda x: tf.clip_by_value(x, -1, 1),
  "lhtan": _lhtan,
  "loggy": lambda x: 2 * tf.sigmoid(x) - 1,
  "normalize_channels": _normalize,
  "normalize_channels_softmax": _softmax,
  "normalize_channels_softmax_maxval": _softmax_of_maximum,
  "plse": _plse,
  "ramp": lambda x: tf.nn.relu(x) + 0.1 * x,
  "relie": lambda x: tf.where(x > 0, x, 0.01 * x),
  "revleaky": leaky,
  "selu": _selu,
  "stair": _stair,
  "tanh": tf.tanh,
}
# Every activation of Darknet's; the first are those that `ACTIVATIONS` has in Darknet's form.
NAMES = (
  *("leaky", "linear", "logistic", "mish", "relu", "relu6", "swish"),
  *DARKNETS_OWN,
)


@tf_keras.utils.register_keras_serializable(package="Transplant")
class DarknetActivation(tf_keras.layers.Layer):
  """An activation as a layer; `activation` is one of `NAMES`."""

  def __init__(self, activation: str, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.activation = activation

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return _named(self.activation)(inputs)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"activation": self.activation}


@tf_keras.utils.register_keras_serializable(package="Transplant")
class DarknetConvNorm(ConvNorm):
  """`ConvNorm` with any of `NAMES` behind."""

  def __init__(self, activation: str, **kwargs: Any) -> None:
    super().__init__(activation="linear", **kwargs)
    self._own_activation = activation
    self.activation = _named(activation)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"activation": self._own_activation}


def _named(activation: str) -> Callable[[tf.Tensor], tf.Tensor]:
  return DARKNETS_OWN.get(activation) or ACTIVATIONS[activation]
