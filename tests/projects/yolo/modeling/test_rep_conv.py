"""Layers of YOLOv7 that its recorded networks lack or that stand alone."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from projects.yolo.modeling.implicit import ImplicitScale, ImplicitShift
from projects.yolo.modeling.layers import SpaceToDepth
from projects.yolo.modeling.rep_conv import RepConvNorm

RNG = np.random.default_rng(0)


def _built(filters, channels):
  layer = RepConvNorm(filters, "swish", dtype="float64")
  images = tf.constant(RNG.normal(size=[2, 5, 6, channels]))
  layer(images)
  for weight in layer.weights:
    weight.assign(RNG.uniform(0.5, 1.5, weight.shape))
  return layer, images


@pytest.mark.parametrize(("filters", "branches"), [(4, 3), (3, 2)])
def test_the_fused_convolution_does_the_same(filters, branches):
  layer, images = _built(filters, 4)
  assert len(layer.weights) == 4 * branches + 2
  kernel, bias = layer.fused()
  wanted = tf.nn.silu(tf.nn.conv2d(images, kernel, 1, "SAME") + bias)
  np.testing.assert_allclose(layer(images), wanted, rtol=1e-12)


def test_the_input_itself_is_a_branch_in_training_too():
  layer, images = _built(4, 4)
  sources = layer.dense(images, training=True), layer.point(images, training=True)
  mean, variance = tf.nn.moments(images, [0, 1, 2])
  own = layer.identity.gamma * (images - mean) / tf.sqrt(variance + 1e-3) + layer.identity.beta
  np.testing.assert_allclose(
    layer(images, training=True), tf.nn.silu(tf.add_n([*sources, own])), rtol=1e-10
  )


def test_pixels_become_channels_column_by_column():
  pixels = tf.reshape(tf.range(8), [1, 2, 4, 1])  # Rows 0 1 2 3 and 4 5 6 7.
  np.testing.assert_array_equal(SpaceToDepth()(pixels)[0, 0], [[0, 4, 1, 5], [2, 6, 3, 7]])


@pytest.mark.parametrize(("layer", "start"), [(ImplicitShift, 0.0), (ImplicitScale, 1.0)])
def test_implicit_knowledge_starts_around_what_changes_nothing(layer, start):
  tf_keras.utils.set_random_seed(0)
  vector = layer()
  vector.build([None, 4000])
  assert abs(float(tf.reduce_mean(vector.implicit)) - start) < 0.002
  assert 0.018 < float(tf.math.reduce_std(vector.implicit)) < 0.022


@pytest.mark.parametrize(
  "layer", [RepConvNorm(4), ImplicitShift(), ImplicitScale(), SpaceToDepth()]
)
def test_layers_survive_their_config(layer):
  images = tf.constant(RNG.normal(size=[1, 4, 4, 4]), tf.float32)
  wanted = layer(images)
  other = type(layer).from_config(layer.get_config())
  other.build(images.shape)
  other(images)
  other.set_weights(layer.get_weights())
  np.testing.assert_allclose(other(images), wanted)
