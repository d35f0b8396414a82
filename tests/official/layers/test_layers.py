"""Shared layers against NumPy, SciPy and PyTorch in float64."""

import gc

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
import tf_keras
import torch

from official.layers.activations import ACTIVATIONS, Activation, mish
from official.layers.convolution import Conv2D, ConvNorm
from official.layers.normalization import BatchNorm
from official.layers.pooling import MaxPool
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


def test_gradient_of_a_bias_rounds_once_in_bfloat16():
  layer = Conv2D(8, 1, dtype=tf_keras.mixed_precision.Policy("mixed_bfloat16"))
  generator = np.random.default_rng(0)
  upstream = tf.constant(generator.normal(size=(2, 64, 64, 8)), tf.bfloat16)
  with tf.GradientTape() as tape:
    outputs = layer(tf.zeros([2, 64, 64, 4]))
  got = tape.gradient(outputs, layer.bias, upstream)
  sums = tf.reduce_sum(tf.cast(upstream, tf.float64), axis=[0, 1, 2])
  np.testing.assert_allclose(got, sums, rtol=2**-8)


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
  tensors = [o for o in gc.get_objects() if issubclass(type(o), tf.Tensor) and hasattr(o, "numpy")]
  return sum(tensor.shape.num_elements() >= 128 for tensor in tensors)


def test_gelu_rounds_once_in_bfloat16():
  x = tf.cast(tf.linspace(-4.0, 4.0, 801), tf.bfloat16)
  want = tf.cast(ACTIVATIONS["gelu"](tf.cast(x, tf.float32)), tf.bfloat16)
  np.testing.assert_array_equal(ACTIVATIONS["gelu"](x), want)


@pytest.mark.parametrize(
  ("name", "original"),
  [
    ("gelu", torch.nn.functional.gelu),
    ("leaky", lambda x: torch.nn.functional.leaky_relu(x, 0.1)),
    ("linear", lambda x: x),
    ("logistic", torch.sigmoid),
    ("mish", torch.nn.functional.mish),
    ("relu", torch.relu),
    ("relu6", torch.nn.functional.relu6),
    ("swish", torch.nn.functional.silu),
  ],
)
def test_activations_are_pytorchs(name, original):
  x = np.concatenate([RNG.normal(0, 5, 50), [-30, 0, 6.5, 30]])
  reference = torch.tensor(x, requires_grad=True)
  want = original(reference)
  want.sum().backward()
  tensor = tf.constant(x)
  with tf.GradientTape() as tape:
    tape.watch(tensor)
    got = ACTIVATIONS[name](tensor)
  np.testing.assert_allclose(got, want.detach(), rtol=1e-13, atol=1e-15)
  np.testing.assert_allclose(tape.gradient(got, tensor), reference.grad, rtol=1e-12, atol=1e-15)
  layer = Activation.from_config(Activation(name, dtype="float64").get_config())
  np.testing.assert_array_equal(layer(tensor), got)
  low = ACTIVATIONS[name](tf.constant(x, tf.float32))
  np.testing.assert_allclose(low, got, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("groups", "filters"), [(1, 6), (2, 6), (4, 4), (4, 12)])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_grouped_convolutions_and_their_gradients_are_pytorchs(
  groups, filters, padding, jit_compile
):
  layer = Conv2D(filters, 3, 2, groups=groups, padding=padding, dtype="float64")
  x = RNG.normal(size=[2, 7, 8, 4])
  layer.build(x.shape)
  layer.bias.assign(RNG.normal(size=filters))
  kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
  image = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
  weight = torch.tensor(kernel.transpose(3, 2, 0, 1), requires_grad=True)
  want = torch.nn.functional.conv2d(
    image, weight, torch.tensor(bias), 2, 1 if padding == "same" else 0, groups=groups
  )
  torch.sin(want).sum().backward()

  def forward_and_backward(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = layer(x)
      total = tf.reduce_sum(tf.sin(y))
    return y, tape.gradient(total, [x, layer.kernel])

  run = forward_and_backward
  if jit_compile is not None:
    run = tf.function(run, jit_compile=jit_compile)
  y, (image_gradient, kernel_gradient) = run(tf.constant(x))
  np.testing.assert_allclose(y.numpy().transpose(0, 3, 1, 2), want.detach(), atol=1e-12)
  np.testing.assert_allclose(
    image_gradient.numpy().transpose(0, 3, 1, 2), image.grad, rtol=1e-10, atol=1e-12
  )
  np.testing.assert_allclose(
    kernel_gradient.numpy().transpose(3, 2, 0, 1), weight.grad, rtol=1e-10, atol=1e-12
  )
  assert layer.compute_output_shape(x.shape) == y.shape


@pytest.mark.parametrize(
  ("size", "padding"), [(1, None), *((size, p) for size in (2, 3, 5) for p in (None, 0, 1))]
)
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_max_pool_is_darknets(size, strides, padding):
  x = RNG.normal(-5, 1, [1, 7, 10, 3])
  layer = MaxPool(size, strides, padding, dtype="float64")
  layer = MaxPool.from_config(layer.get_config())
  got = layer(tf.constant(x)).numpy()[0]
  around = size - 1 if padding is None else padding
  rows, columns = ((side + around - size) // strides + 1 for side in x.shape[1:3])
  assert got.shape == (rows, columns, 3)
  for row, column in np.ndindex(rows, columns):
    top, left = row * strides - around // 2, column * strides - around // 2
    window = x[0, max(top, 0) : top + size, max(left, 0) : left + size]
    np.testing.assert_array_equal(got[row, column], window.max((0, 1)))
