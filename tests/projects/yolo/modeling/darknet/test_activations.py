"""Darknet's own activations against its formulas, one number at a time."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from projects.yolo.modeling.darknet.activations import (
  DARKNETS_OWN,
  NAMES,
  DarknetActivation,
  DarknetConvNorm,
)

POINTS = (-5.5, -4.0, -3.25, -2.0, -1.5, -0.75, -0.25, 0.0, 0.5, 1.0, 1.75, 2.5, 3.0, 4.5, 6.25)


def stair(x):
  n = math.floor(x)
  return math.floor(x / 2) if n % 2 == 0 else (x - n) + math.floor(x / 2)


def plse(x):
  if x < -4:
    return 0.01 * (x + 4)
  return 0.01 * (x - 4) + 1 if x > 4 else 0.125 * x + 0.5


def lhtan(x):
  if x < 0:
    return 0.001 * x
  return 0.001 * (x - 1) + 1 if x > 1 else x


def hard_mish(x):
  if x > 0:
    return x
  return x * x / 2 + x if x > -2 else 0


SCALAR = {
  "elu": lambda x: x if x >= 0 else math.exp(x) - 1,
  "gelu": lambda x: 0.5 * x * (1 + math.tanh(0.797885 * x + 0.035677 * x**3)),
  "hard_mish": hard_mish,
  "hardtan": lambda x: max(-1, min(1, x)),
  "lhtan": lhtan,
  "loggy": lambda x: 2 / (1 + math.exp(-x)) - 1,
  "plse": plse,
  "ramp": lambda x: x * (x > 0) + 0.1 * x,
  "relie": lambda x: x if x > 0 else 0.01 * x,
  "revleaky": lambda x: x if x > 0 else 0.1 * x,
  "selu": lambda x: 1.0507 * x if x >= 0 else 1.0507 * 1.6732 * (math.exp(x) - 1),
  "stair": stair,
  "tanh": lambda x: 2 / (1 + math.exp(-2 * x)) - 1,
}


def normalized(pixel, positive):
  values = [positive(x) for x in pixel]
  return [value / (1e-4 + sum(values)) for value in values]


BY_PIXEL = {
  "normalize_channels": lambda p: normalized(p, lambda x: max(x, 0)),
  "normalize_channels_softmax": lambda p: normalized(p, math.exp),
  "normalize_channels_softmax_maxval": lambda p: normalized(p, lambda x: math.exp(x - max(p))),
}


def test_every_one_is_tested_here():
  assert DARKNETS_OWN.keys() == SCALAR.keys() | BY_PIXEL.keys()


@pytest.mark.parametrize("name", SCALAR)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers(name, dtype):
  got = DARKNETS_OWN[name](tf.constant(POINTS, dtype))
  assert got.dtype == dtype
  tolerance = 1e-12 if dtype == "float64" else 2e-6
  want = [SCALAR[name](x) for x in POINTS]
  np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", BY_PIXEL)
def test_pixels(name):
  pixels = np.random.default_rng(0).normal(0, 2, [2, 3, 4, 5])
  got = DARKNETS_OWN[name](tf.constant(pixels))
  want = np.apply_along_axis(BY_PIXEL[name], -1, pixels)
  np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("name", DARKNETS_OWN)
def test_large_numbers_have_a_gradient(name):
  if name == "normalize_channels_softmax":
    return  # As in Darknet, whose exponential overflows.
  x = tf.constant([[-1e4, -50.0, 50.0, 1e4]])
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = DARKNETS_OWN[name](x)
  assert np.isfinite(y).all()
  assert np.isfinite(tape.gradient(y, x)).all()


@pytest.mark.parametrize("name", NAMES)
def test_layers_survive_their_config(name):
  x = tf.constant(np.random.default_rng(0).normal(size=[1, 4, 4, 2]), tf.float32)
  layers = DarknetActivation(name), DarknetConvNorm(name, filters=3, kernel_size=1)
  for layer in layers:
    twin = tf_keras.utils.deserialize_keras_object(tf_keras.utils.serialize_keras_object(layer))
    want = layer(x)
    twin(x)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x), want)
