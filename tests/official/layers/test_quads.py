"""Layers on quads of pixels are the plain layers, with the same variables, in float64."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from official.layers.convolution import ConvNorm
from official.layers.pooling import MaxPool
from official.layers.quads import QuadConvNorm, QuadMaxPool, to_quads

RNG = np.random.default_rng(0)
STYLE = {"momentum": 0.9, "epsilon": 1e-3, "activation": "mish", "dtype": "float64"}


def _step(layers, weights, inputs, training, is_quads):
  """Outputs as pixels, gradients and all variables, from `weights` on."""
  x = inputs
  for layer in layers:
    x = layer(x)
  for variable, value in zip(_all(layers, "variables"), weights, strict=True):
    variable.assign(value)
  with tf.GradientTape() as tape:
    x = inputs
    for layer in layers:
      x = layer(x, training=training)
    x = _to_pixels(x) if is_quads else x
    loss = tf.reduce_sum(tf.sin(3 * x))
  gradients = tape.gradient(loss, _all(layers, "trainable_variables"))
  return [x, *gradients, *_all(layers, "variables")]


def _to_pixels(x):
  left, right = (tf.stack(tf.split(half, 2, -1), 2) for half in tf.split(x, 2, -1))
  batch, height, _, width, channels = left.shape  # [b, h / 2, 2, w / 2, c]
  return tf.reshape(tf.stack([left, right], 4), [batch, 2 * height, 2 * width, channels])


def _all(layers, kind):
  return [variable for layer in layers for variable in getattr(layer, kind)]


def _compare(*sizes):
  """Layers of (filters, kernel, strides), one after the other, plain and on quads."""
  images = tf.constant(RNG.normal(size=[2, 8, 12, 3]))
  plain, quads = ([kind(*size, **STYLE) for size in sizes] for kind in (ConvNorm, QuadConvNorm))
  tf_keras.Sequential(plain)(images)
  weights = [RNG.uniform(0.5, 1.5, variable.shape) for variable in _all(plain, "variables")]
  is_quads = sizes[-1][2] == 1
  for training in (True, False):
    want = _step(plain, weights, images, training, False)
    got = _step(quads, weights, to_quads(images), training, is_quads)
    for ours, theirs in zip(got, want, strict=True):
      np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("strides", [1, 2])
def test_a_first_convolution(kernel, strides):
  _compare((5, kernel, strides))


def test_the_strided_convolution_behind_it():
  _compare((5, 3, 1), (6, 3, 2))


def test_order_of_a_quad():
  image = np.arange(16).reshape(1, 4, 4, 1)
  np.testing.assert_array_equal(to_quads(tf.constant(image))[0, 1, 0], [8, 12, 9, 13])


def test_statistics_are_kept_in_float32():
  layer = QuadConvNorm(4, 3, 1, dtype=tf_keras.mixed_precision.Policy("mixed_bfloat16"))
  outputs = layer(tf.cast(RNG.normal(size=[2, 4, 4, 12]), tf.bfloat16), training=True)
  assert outputs.dtype == tf.bfloat16
  assert {variable.dtype for variable in layer.variables} == {tf.float32}


def test_serialization():
  layer = QuadConvNorm(4, 3, 2, activation="relu", name="stem")
  copy = tf_keras.layers.deserialize(tf_keras.layers.serialize(layer))
  quads = tf.constant(RNG.normal(size=[1, 2, 2, 12]), tf.float32)
  layer(quads)
  copy(quads)
  copy.set_weights(layer.get_weights())
  np.testing.assert_array_equal(copy(quads), layer(quads))


def test_pooling():
  x = tf.constant(RNG.integers(0, 3, [2, 8, 12, 5]).astype(float))  # With equals.
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    want, got = MaxPool(2, 2, dtype="float64")(x), QuadMaxPool(dtype="float64")(to_quads(x))
    losses = [tf.reduce_sum(tf.sin(y + tf.range(5, dtype=y.dtype))) for y in (want, got)]
  np.testing.assert_array_equal(got, want)
  np.testing.assert_array_equal(tape.gradient(losses[1], x), tape.gradient(losses[0], x))
