"""Weights and averages change places bit for bit, on one replica and on two."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from official.modeling import optimization
from official.training.averages import WeightAverages
from tests.official.training import runs

# Sums of these cannot hold both: an exchange by arithmetic loses the small ones.
_HOSTILE = np.array([1e30, 1e-30, -0.0, np.nan, np.inf, 1 / 3], np.float32)


def _model_and_optimizer(trainable_only=False):
  model = tf_keras.Sequential([tf_keras.Input([6])])
  model.add(tf_keras.layers.Dense(6))
  model.add(tf_keras.layers.BatchNormalization())
  optimizer = optimization.ExponentialMovingAverage(
    tf_keras.optimizers.legacy.SGD(0.1), trainable_weights_only=trainable_only
  )
  optimizer.shadow_copy(model)
  return model, optimizer


def _components(variables):
  strategy = tf.distribute.get_strategy()
  return [c for v in variables for c in strategy.experimental_local_results(v)]


def _bits(variables):
  return [component.numpy().tobytes() for component in _components(variables)]


def _exchange_is_exact():
  """Every replica's own values change places, also BatchNorm's, which differ between replicas."""
  model, optimizer = _model_and_optimizer()
  averages = WeightAverages(optimizer)
  random = np.random.default_rng(0)
  for component in _components(model.weights):
    component.assign(random.permutation(np.resize(_HOSTILE, component.shape)))
  for component in _components(optimizer._average_weights):
    component.assign(random.standard_normal(component.shape))
  weights, means = _bits(model.weights), _bits(optimizer._average_weights)
  assert len(weights) == len(model.weights) * tf.distribute.get_strategy().num_replicas_in_sync
  averages.exchange()
  assert averages.in_model
  assert _bits(model.weights) == means
  assert _bits(optimizer._average_weights) == weights
  averages.exchange()
  assert not averages.in_model
  assert _bits(model.weights) == weights


def test_exchange_on_one_device():
  with tf.distribute.OneDeviceStrategy("CPU:0").scope():
    _exchange_is_exact()


def _exchange_in_bfloat16_on_two_devices():
  tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
  with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    _exchange_is_exact()


def test_exchange_on_two_devices(tmp_path):
  runs.call(_exchange_in_bfloat16_on_two_devices, tmp_path / "log", devices=2)


@pytest.mark.parametrize("trainable_only", [False, True])
def test_averages_start_from_weights(trainable_only):
  with tf.distribute.OneDeviceStrategy("CPU:0").scope():
    model, optimizer = _model_and_optimizer(trainable_only)
    WeightAverages(optimizer).start()
    averaged = model.trainable_variables if trainable_only else model.variables
    assert len(averaged) == (4 if trainable_only else 6)
    assert _bits(optimizer._average_weights) == _bits(averaged)
    # The model is still its own: a step moves it and not the average.
    before = _bits(optimizer._average_weights)
    model.weights[0].assign_add(tf.ones_like(model.weights[0]))
    assert _bits(optimizer._average_weights) == before
