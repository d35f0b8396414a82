"""Layers whose outputs agree and whose gradients do not."""

import numpy as np
import pytest
import tensorflow as tf
import torch

from official.parity.diagnosis import engine
from tests.official.parity.diagnosis.planting import LAYERS, evidence, first, normal, randomize

X = normal(4, 6)
UPSTREAM = normal(4, 6, seed=7)


def torch_gradients(function, x, *parameters):
  tensors = [torch.from_numpy(a).requires_grad_() for a in (x, *parameters)]
  function(*tensors).backward(torch.from_numpy(UPSTREAM))
  return [t.grad.numpy() if t.grad is not None else np.zeros(t.shape) for t in tensors]


def found(layer, function, *parameters, variables=()):
  expected, *gradients = torch_gradients(function, X, *parameters)
  return engine.examine(
    evidence(
      layer,
      {},
      X,
      upstream={"": UPSTREAM},
      input_gradients={"0": expected},
      parameter_gradients={v.name: g for v, g in zip(variables, gradients, strict=True)},
    )
  )


def test_stopped_gradient():
  def candidate(x):
    return x * tf.stop_gradient(tf.sigmoid(x))

  assert first(found(candidate, lambda x: x * torch.sigmoid(x))).cause == "target_detached"


def test_gradient_that_the_original_stops():
  def candidate(x):
    return x * tf.sigmoid(x)

  best = first(found(candidate, lambda x: x * torch.sigmoid(x).detach()))
  assert best.cause == "target_detached"
  assert best.line == f"{__file__}:{candidate.__code__.co_firstlineno + 1}"


def test_gradient_that_the_original_stops_at_one_use():
  def candidate(x):
    y = tf.tanh(x)
    return y * tf.sigmoid(y)

  best = first(found(candidate, lambda x: torch.tanh(x.detach()) * torch.tanh(x).sigmoid()))
  assert best.cause == "target_detached"


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_scaled_gradient(scale):
  @tf.custom_gradient
  def candidate(x):
    return tf.tanh(x), lambda dy: dy * scale * (1 - tf.tanh(x) ** 2)

  assert first(found(candidate, torch.tanh)).cause == "gradient_scale"


def test_gradient_of_its_own_that_is_wrong():
  @tf.custom_gradient
  def candidate(x):
    return tf.tanh(x), lambda dy: dy * (1 - tf.tanh(x))

  assert first(found(candidate, torch.tanh)).cause == "target_detached"


def test_clipped_values():
  def original(x):
    x.register_hook(lambda g: g.clamp(-0.25, 0.25))
    return torch.tanh(x)

  assert first(found(tf.tanh, original)).cause == "clip_scope"


def dense_case(**kwargs):
  layer = randomize(LAYERS.Dense(6, dtype="float64", **kwargs), X)
  kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
  return layer, lambda x, k, b: x @ k + b, (kernel, bias), (layer.kernel, layer.bias)


@pytest.mark.parametrize("variables_too", [False, True])
def test_a_frozen_parameter(variables_too):
  layer, function, arrays, variables = dense_case()
  layer.trainable = False
  for variable in variables if variables_too else ():
    variable._trainable = False
  assert first(found(layer, function, *arrays, variables=variables)).cause == "parameter_frozen"


def test_a_parameter_that_the_original_freezes():
  layer, _, arrays, variables = dense_case()
  function = lambda x, k, b: x @ k.detach() + b
  assert first(found(layer, function, *arrays, variables=variables)).cause == "parameter_frozen"


def test_statistics_stay_as_they_are():
  layer = randomize(LAYERS.BatchNormalization(dtype="float64"), X)
  before = [v.numpy() for v in layer.variables]
  gradient = np.zeros_like(X)
  engine.examine(
    evidence(layer, {}, X, training=True, upstream={"": UPSTREAM}, input_gradients={"0": gradient})
  )
  for variable, value in zip(layer.variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)


def test_agreement_has_no_diagnosis():
  layer, function, arrays, variables = dense_case()
  assert found(layer, function, *arrays, variables=variables).diagnoses == ()
