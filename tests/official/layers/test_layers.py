"""Shared layers against NumPy and SciPy in float64."""

import gc

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
import tf_keras

from official.layers.activations import Activation, mish
from official.layers.convolution import Conv2D, ConvNorm
from official.layers.normalization import BatchNorm
from official.layers.upsampling import Upsample

RNG = np.random.default_rng(0)


def test_batch_norm_is_the_formula_with_unbiased_moving_variance():
  x = RNG.normal(3, 2, [4, 5, 6, 7])
  layer = BatchNorm(momentum=0.9, epsilon=1e-3, dtype="float64")
  got = layer(tf.constant(x), training=True)
  mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
  np.testing.assert_allclose(got, (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-12, atol=1e-12)
  np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-12)
  unbiased = x.var((0, 1, 2), ddof=1)
  np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * unbiased, rtol=1e-12)
  got = layer(tf.constant(x), training=False)
  want = (x - layer.moving_mean) / np.sqrt(layer.moving_variance + 1e-3)
  np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)])
def test_batch_norm_means_the_same_in_lower_precision(dtype, tolerance):
  x = RNG.normal(size=[4, 5, 6, 7])
  exact, lower = BatchNorm(dtype="float64"), BatchNorm(dtype=tf_keras.mixed_precision.Policy(dtype))
  for training in (True, False):
    want = exact(tf.constant(x), training=training)
    got = lower(tf.cast(x, lower.compute_dtype), training=training)
    np.testing.assert_allclose(tf.cast(got, tf.float64), want, atol=3 * tolerance)
    np.testing.assert_allclose(lower.moving_variance, exact.moving_variance, rtol=tolerance)
    assert lower.moving_variance.dtype == tf.float32


def test_frozen_batch_norm_keeps_its_statistics():
  layer = BatchNorm()
  layer.trainable = False
  layer(tf.constant(RNG.normal(5, 3, [2, 3, 3, 4]), tf.float32), training=True)
  np.testing.assert_array_equal(layer.moving_mean, np.zeros(4))


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("size", [8, 9])
def test_convolution_pads_evenly(kernel, strides, size):
  x = RNG.normal(size=[1, size, size, 2])
  layer = Conv2D(3, kernel, strides, dtype="float64")
  got = layer(tf.constant(x))[0]
  weights = layer.kernel.numpy()
  for out in range(3):
    planes = [
      scipy.signal.correlate2d(x[0, :, :, i], weights[:, :, i, out], mode="same") for i in range(2)
    ]
    np.testing.assert_allclose(got[..., out], sum(planes)[::strides, ::strides], atol=1e-12)
  assert layer.compute_output_shape([1, size, size, 2]) == (1, *got.shape)


def test_mish_and_its_gradient():
  x = np.concatenate([np.linspace(-30, 40, 141), RNG.normal(size=50)])
  exact = lambda v: v * np.tanh(np.logaddexp(0, v))
  tensor = tf.constant(x)
  with tf.GradientTape() as tape:
    tape.watch(tensor)
    y = mish(tensor)
  np.testing.assert_allclose(y, exact(x), rtol=1e-12, atol=1e-15)
  step = 1e-5
  slope = (exact(x + step) - exact(x - step)) / (2 * step)
  np.testing.assert_allclose(tape.gradient(y, tensor), slope, atol=1e-8)
  assert np.isfinite(mish(tf.constant([-1e4, 1e4], tf.bfloat16))).all()


def test_conv_norm_survives_its_config():
  layer = ConvNorm(4, 3, 2, "mish", 0.9, 1e-3, name="a")
  x = tf.constant(RNG.normal(size=[2, 6, 6, 3]), tf.float32)
  layer(x)
  twin = ConvNorm.from_config(layer.get_config())
  twin(x)
  twin.set_weights(layer.get_weights())
  np.testing.assert_array_equal(layer(x, training=True), twin(x, training=True))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_upsampling_repeats_and_its_gradient_sums(jit_compile):
  x = tf.constant(RNG.normal(size=[2, 3, 4, 5]))
  weights = RNG.normal(size=[2, 6, 8, 5])
  layer = Upsample(2, dtype="float64")

  @tf.function(jit_compile=jit_compile)
  def forward_and_backward():
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = layer(x)
      total = tf.reduce_sum(y * weights)
    return y, tape.gradient(total, x)

  y, gradient = forward_and_backward()
  np.testing.assert_array_equal(y, x.numpy().repeat(2, 1).repeat(2, 2))
  blocks = weights.reshape(2, 3, 2, 4, 2, 5).sum((2, 4))
  np.testing.assert_allclose(gradient, blocks, rtol=1e-12)


@pytest.mark.parametrize("eagerly", [True, False])
def test_gradient_of_batch_norm_is_that_of_the_formula(eagerly):
  x, upstream = tf.constant(RNG.normal(3, 2, [4, 5, 6, 7])), RNG.normal(size=[4, 5, 6, 7])
  layer = BatchNorm(epsilon=1e-3, dtype="float64")
  layer(x)
  layer.gamma.assign(RNG.normal(size=7))
  layer.beta.assign(RNG.normal(size=7))

  def formula(x):
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return layer.gamma * (x - mean) / tf.sqrt(variance + 1e-3) + layer.beta

  def gradients(function):
    with tf.GradientTape() as tape:
      tape.watch(x)
      outputs = function(x)
    return tape.gradient(outputs, [x, layer.gamma, layer.beta], upstream)

  train = lambda x: layer(x, training=True)
  got = gradients(train if eagerly else tf.function(train))
  for mine, want in zip(got, gradients(formula), strict=True):
    np.testing.assert_allclose(mine, want, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("layer", [BatchNorm(dtype="float64"), Activation("mish")])
def test_eager_tapes_keep_nothing_between_input_and_output(layer):
  layer(tf.zeros([1, 1, 1, 2], tf.float64))
  x = tf.constant(RNG.normal(size=[1, 8, 8, 2]))
  with tf.GradientTape() as tape:
    tape.watch(x)
    before = _large_tensors()
    y = layer(x, training=True)
    # The output, the same before the tape took note of it, and the input again.
    assert _large_tensors() - before <= 3
  assert tape.gradient(y, x) is not None


def _large_tensors():
  gc.collect()
  tensors = [o for o in gc.get_objects() if isinstance(o, tf.Tensor) and hasattr(o, "numpy")]
  return sum(tensor.shape.num_elements() >= 128 for tensor in tensors)
