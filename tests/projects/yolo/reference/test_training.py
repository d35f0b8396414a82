"""The reference's schedule and average against TFMG's, and what it trains with."""

import types

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch

from official.modeling import optimization
from official.training.averages import WeightAverages
from official.training.optimizers import OptimizationConfig
from projects.yolo.reference import training
from projects.yolo.reference.darknet import CFG, Darknet

RECIPE = training.Recipe(
  learning_rate=0.02,
  warmup_steps=4,
  decay_steps=12,
  last_share=0.2,
  momentum=0.937,
  first_momentum=0.8,
  first_bias_rate=0.1,
  weight_decay=0.0005,
  average_decay=0.4,
)


def config():
  cosine = {"initial_learning_rate": 0.02, "decay_steps": 12, "alpha": 0.2}
  return OptimizationConfig(
    {
      "optimizer": {"type": "sgd_torch", "sgd_torch": {"momentum": 0.937, "nesterov": True}},
      "ema": {"average_decay": 0.4, "trainable_weights_only": False},
      "learning_rate": {"type": "cosine", "cosine": cosine},
      "warmup": {"type": "linear", "linear": {"warmup_steps": 4}},
    }
  )


def test_the_rate_is_tfmgs():
  rate = optimization.OptimizerFactory(config()).build_learning_rate()
  optimizer = training.make_optimizer(Darknet(CFG / "yolov3-tiny.cfg"), RECIPE)
  schedule = training.make_schedule(optimizer, RECIPE)
  for step in range(16):
    want = float(rate(tf.constant(step)))
    first = 0.1 * max(1 - step / 4, 0)
    found = [group["lr"] for group in optimizer.param_groups]
    assert found == pytest.approx([want, want, want + first], rel=1e-6)
    optimizer.step()
    momentum = np.interp(step, [0, 4], [0.8, 0.937])
    assert [g["momentum"] for g in optimizer.param_groups] == pytest.approx([momentum] * 3)
    schedule.step()


def test_the_average_is_tfmgs():
  values = np.random.default_rng(0).normal(size=[20, 1, 3])
  network = torch.nn.Linear(3, 1, bias=False)
  network.weight.data.copy_(torch.from_numpy(values[0]))
  average = training.Average(network, 0.4)
  weight = tf.Variable(values[0], dtype=tf.float32)
  model = types.SimpleNamespace(variables=[weight])
  optimizer = optimization.ExponentialMovingAverage(
    tf_keras.optimizers.legacy.SGD(1.0), trainable_weights_only=False, average_decay=0.4
  )
  optimizer.shadow_copy(model)
  averages = WeightAverages(optimizer)
  averages.start()
  for value in values[1:]:
    optimizer.apply_gradients([(weight - tf.constant(value, tf.float32), weight)])
    network.weight.data.copy_(torch.from_numpy(value))
    average.update_parameters(network)
    kept = averages.pairs[0][0]
    np.testing.assert_allclose(average.module.weight.detach(), kept, rtol=1e-4, atol=1e-6)
  assert not np.allclose(kept, values[-1], atol=0.1)


def test_only_kernels_decay_and_biases_are_a_group():
  network = Darknet(CFG / "yolov3-tiny.cfg")
  kernels, rest, biases = training.make_optimizer(network, RECIPE).param_groups
  assert {p.ndim for p in kernels["params"]} == {4}
  assert {p.ndim for p in rest["params"]} == {1}
  named = [p for name, p in network.named_parameters() if name.endswith(".bias")]
  assert {id(p) for p in biases["params"]} == {id(p) for p in named}
  assert [g["weight_decay"] for g in (kernels, rest, biases)] == [0.0005, 0, 0]
  groups = [kernels["params"], rest["params"], biases["params"]]
  assert sum(map(len, groups)) == len(list(network.parameters()))


def test_the_gradient_alone_is_multiplied_by_the_images():
  x = torch.tensor(3.0, requires_grad=True)
  value = training.times_images(x * 2, 5)
  value.backward()
  assert (value.item(), x.grad.item()) == (6.0, 10.0)
