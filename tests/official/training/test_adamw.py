"""AdamW against PyTorch's, with groups, clipping, schedules and wrappers."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch

from official.modeling import optimization
from official.training.adamw import AdamW, Group
from official.training.optimizers import OptimizationConfig
from official.training.schedules import Poly
from official.training.wrapping import innermost
from tests.official.training import runs

SHAPES = ([3, 4], [4], [5, 2], [7])
GROUPS = (Group(), Group(decays=False), Group(0.1), Group(0.1, decays=False))
RATE, DECAY, CLIP, STEPS = 1e-2, 0.05, 0.01, 10


def _start():
  rng = np.random.default_rng(0)
  values = [rng.normal(size=shape) for shape in SHAPES]
  # Small at first, so that some steps are clipped and others are not.
  scales = np.geomspace(1e-4, 1, STEPS)
  return values, [[scale * rng.normal(size=shape) for shape in SHAPES] for scale in scales]


def _torchs(clip=CLIP, rates=None):
  """Parameters after each step."""
  values, gradients = _start()
  parameters = [torch.tensor(value, requires_grad=True) for value in values]
  rates = rates or [RATE] * STEPS
  groups = [
    {"params": [parameter], "weight_decay": DECAY * group.decays}
    for parameter, group in zip(parameters, GROUPS, strict=True)
  ]
  original = torch.optim.AdamW(groups, RATE)
  after = []
  for rate, step in zip(rates, gradients, strict=True):
    for parameter, gradient, group, row in zip(
      parameters, step, GROUPS, original.param_groups, strict=True
    ):
      parameter.grad, row["lr"] = torch.tensor(gradient), rate * group.multiplier
    if clip:
      torch.nn.utils.clip_grad_norm_(parameters, clip)
    original.step()
    after.append([parameter.detach().clone().numpy() for parameter in parameters])
  return after, original, parameters


def _variables(dtype=np.float64):
  return [tf.Variable(value.astype(dtype)) for value in _start()[0]]


def _assign(optimizer, variables):
  groups = {v.ref(): group for v, group in zip(variables, GROUPS, strict=True)}
  innermost(optimizer).assign_groups(groups)


def _schedule():
  return Poly(RATE, STEPS + 1, 0.9)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("clip", [0.0, CLIP])
def test_ten_steps_are_pytorchs(clip, jit_compile):
  variables = _variables()
  ours = AdamW(_schedule(), DECAY, clip)
  _assign(ours, variables)
  ours._create_all_weights(variables)

  @tf.function(jit_compile=jit_compile)
  def step(*gradients):
    ours.apply_gradients(zip(gradients, variables, strict=True))

  rates = [RATE * (1 - index / (STEPS + 1)) ** 0.9 for index in range(STEPS)]
  after, original, parameters = _torchs(clip, rates)
  for gradients, expected in zip(_start()[1], after, strict=True):
    step(*map(tf.constant, gradients))
    for variable, value in zip(variables, expected, strict=True):
      np.testing.assert_allclose(variable, value, rtol=1e-9, atol=1e-12)
  for variable, parameter in zip(variables, parameters, strict=True):
    for slot, name in (("m", "exp_avg"), ("v", "exp_avg_sq")):
      moment = original.state[parameter][name]
      np.testing.assert_allclose(ours.get_slot(variable, slot), moment, rtol=1e-9)


def test_gradients_of_tables_are_clipped_and_applied_as_dense_ones():
  table, dense = tf.Variable(np.ones([4, 2])), tf.Variable(np.ones([4, 2]))
  # Rows that are read twice add up.
  rows, values = [1, 1, 3], np.array([[3.0, 4.0], [1.0, 1.0], [2.0, 0.0]])
  sparse = tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([4, 2]))
  for variable, gradient in ((table, sparse), (dense, tf.convert_to_tensor(sparse))):
    AdamW(_schedule(), DECAY, CLIP).apply_gradients([(gradient, variable)])
  np.testing.assert_array_equal(table, dense)
  assert not np.allclose(table[0], table[1])


@pytest.mark.parametrize("scale", [None, 1024.0])
def test_inside_averages_and_loss_scaling(scale):
  config = OptimizationConfig(
    {
      "optimizer": {
        "type": "adamw_torch",
        "adamw_torch": {"weight_decay": DECAY, "clip_norm": CLIP},
      },
      "learning_rate": {"type": "steps", "steps": {"initial_learning_rate": RATE}},
    }
    | ({} if scale else {"ema": {"average_decay": 0.5, "dynamic_decay": False}})
  )
  factory = optimization.OptimizerFactory(config)
  optimizer = factory.build_optimizer(factory.build_learning_rate())
  variables = _variables(np.float32)
  model = _Holder(variables)
  if scale:
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer, False, scale)
  else:
    optimizer.shadow_copy(model)
  _assign(optimizer, variables)
  for gradients, expected in zip(_start()[1], _torchs()[0], strict=True):
    gradients = [tf.constant((scale or 1) * g, tf.float32) for g in gradients]
    if scale:
      gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    for variable, value in zip(variables, expected, strict=True):
      np.testing.assert_allclose(variable, value, rtol=1e-5, atol=1e-6)
  if not scale:
    for average, variable in zip(optimizer._average_weights, variables, strict=True):
      np.testing.assert_allclose(average, variable, rtol=0.1, atol=0.1)


class _Holder(tf_keras.layers.Layer):
  """Keras keeps variables in layers."""

  def __init__(self, variables):
    super().__init__()
    self.held = variables


def _on_two_devices():
  strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
  with strategy.scope():
    variables = _variables()
    ours = AdamW(_schedule(), DECAY, CLIP)
  _assign(ours, variables)

  @tf.function
  def step(*gradients):
    # Each replica has a part of the gradient, neither of which is clipped alone.
    share = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float64)
    parts = [gradient * (0.25 + 0.5 * share) for gradient in gradients]
    ours.apply_gradients(zip(parts, variables, strict=True))

  rates = [RATE * (1 - index / (STEPS + 1)) ** 0.9 for index in range(STEPS)]
  for gradients, expected in zip(_start()[1], _torchs(rates=rates)[0], strict=True):
    strategy.run(step, args=tuple(map(tf.constant, gradients)))
    for variable, value in zip(variables, expected, strict=True):
      for part in variable.values:
        np.testing.assert_allclose(part, value, rtol=1e-9, atol=1e-12)


def test_on_two_devices_the_sum_is_clipped_and_groups_hold(tmp_path):
  runs.call(functools.partial(_on_two_devices), tmp_path / "log", devices=2)


def test_its_configuration_makes_it_again():
  ours = AdamW(0.5, DECAY, CLIP, 0.8, 0.9, 1e-3)
  again = AdamW.from_config(ours.get_config())
  assert again.get_config() == ours.get_config()
  assert again.get_config()["clip_norm"] == CLIP
