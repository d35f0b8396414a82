"""Our gradient descent against PyTorch's, while the learning rate changes."""

import numpy as np
import pytest
import tensorflow as tf
import torch

from official.modeling import optimization
from official.training.optimizers import OptimizationConfig
from official.training.sgd import SGD

RATES = [0.0, 0.1, 0.25, 0.3, 0.2, 0.05]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, False)])
def test_steps_are_pytorchs_while_the_rate_changes(momentum, nesterov, jit_compile):
  rng = np.random.default_rng(0)
  start, gradients = rng.normal(size=[3, 4]), rng.normal(size=[len(RATES), 3, 4])
  weight = torch.tensor(start, requires_grad=True)
  original = torch.optim.SGD([weight], RATES[0], momentum, nesterov=nesterov)
  variable, rate = tf.Variable(start), tf.Variable(0.0, dtype=tf.float64)
  ours = SGD(lambda: rate, momentum, nesterov)
  ours._create_all_weights([variable])

  @tf.function(jit_compile=jit_compile)
  def step(gradient):
    ours.apply_gradients([(gradient, variable)])

  for value, gradient in zip(RATES, gradients, strict=True):
    original.param_groups[0]["lr"] = value
    weight.grad = torch.tensor(gradient)
    original.step()
    rate.assign(value)
    step(tf.constant(gradient))
    # Keras rounds momentum to float32.
    np.testing.assert_allclose(variable, weight.detach(), rtol=1e-6, atol=1e-7)
  if momentum:
    buffer = original.state[weight]["momentum_buffer"]
    np.testing.assert_allclose(ours.get_slot(variable, "momentum"), buffer, rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_beginning_is_that_of_yolov7s_loop(jit_compile):
  """Its `numpy.interp`s over the first steps, with PyTorch's groups."""
  rng = np.random.default_rng(1)
  starts, gradients = rng.normal(size=[2, 3]), rng.normal(size=[7, 2, 3])
  weights = [torch.tensor(start, requires_grad=True) for start in starts]
  original = torch.optim.SGD([{"params": [weight]} for weight in weights], 0.0, 0.9, nesterov=True)
  variables, rate = [tf.Variable(start) for start in starts], tf.Variable(0.0, dtype=tf.float64)
  ours = SGD(lambda: rate, 0.9, True, warmup_steps=4, warmup_momentum=0.5, warmup_bias_rate=0.1)
  ours._create_all_weights(variables)
  ours.assign_biases(variables[1:])

  @tf.function(jit_compile=jit_compile)
  def step(gradient):
    ours.apply_gradients(zip(tf.unstack(gradient), variables, strict=True))

  for index, gradient in enumerate(gradients):
    for group, first in zip(original.param_groups, (0.0, 0.1), strict=True):
      group["lr"] = np.interp(index, [0, 4], [first, 0.02])
      group["momentum"] = np.interp(index, [0, 4], [0.5, 0.9])
    for weight, each in zip(weights, gradient, strict=True):
      weight.grad = torch.tensor(each)
    original.step()
    rate.assign(np.interp(index, [0, 4], [0.0, 0.02]))
    step(tf.constant(gradient))
    for variable, weight in zip(variables, weights, strict=True):
      np.testing.assert_allclose(variable, weight.detach(), rtol=1e-6, atol=1e-7)


def test_a_configuration_chooses_it():
  config = OptimizationConfig(
    {
      "optimizer": {"type": "sgd_torch", "sgd_torch": {"momentum": 0.5, "nesterov": True}},
      "ema": {"average_decay": 0.9},
      "learning_rate": {"type": "constant", "constant": {"learning_rate": 0.1}},
    }
  )
  factory = optimization.OptimizerFactory(config)
  optimizer = factory.build_optimizer(factory.build_learning_rate())
  assert isinstance(optimizer, optimization.ExponentialMovingAverage)
  inner = optimizer._optimizer
  assert isinstance(inner, SGD)
  assert (inner.nesterov, float(inner._get_hyper("momentum"))) == (True, 0.5)
