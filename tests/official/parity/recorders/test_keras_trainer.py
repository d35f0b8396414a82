"""Steps of a project's task against the optimizers' formulas in float64, and going on."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from official.core import base_task
from official.core import config_definitions as cfg
from official.modeling import optimization
from official.parity.recorders.keras_double import double
from official.parity.recorders.keras_trainer import TaskTrainer

RNG = np.random.default_rng(0)
BATCHES = [RNG.normal(size=[4, 3]) for _ in range(4)]
STEPS, WARMUP, RATE = 12, 2, 0.05
NAMES = ("dense/kernel", "dense/bias")


@dataclasses.dataclass
class Config(cfg.TaskConfig):
  pass


class Task(base_task.Task):
  def build_model(self):
    tf_keras.utils.set_random_seed(0)
    dtype = tf_keras.mixed_precision.Policy(self.precision)
    x = tf_keras.Input([3], dtype=dtype.variable_dtype)
    y = tf_keras.layers.BatchNormalization(scale=False, center=False, name="norm", dtype=dtype)(x)
    return tf_keras.Model(x, tf_keras.layers.Dense(2, name="dense", dtype=dtype)(y))

  def build_inputs(self, params, input_context=None):
    raise NotImplementedError

  def build_losses(self, labels, model_outputs, aux_losses=None):
    return tf.reduce_sum(tf.square(tf.cast(model_outputs, labels.dtype) - labels))


def trainer(optimizer, precision="float64", average=True, **options):
  task = Task(Config())
  task.precision = precision
  config = {
    "optimizer": {"type": optimizer, optimizer: options},
    "learning_rate": {"type": "cosine", "cosine": {"initial_learning_rate": RATE}},
    "warmup": {"type": "linear", "linear": {"warmup_steps": WARMUP, "warmup_learning_rate": 0.01}},
  }
  if average:
    config["ema"] = {"average_decay": 0.8, "trainable_weights_only": False}
  config = optimization.OptimizationConfig(config)
  config.learning_rate.cosine.decay_steps = STEPS
  build = lambda: task.create_optimizer(config)
  return TaskTrainer(task, task.build_model(), build, lambda batch: (batch["x"], batch["y"]))


def tensors(step, precision="float64"):
  x = tf.constant(BATCHES[step], precision)
  return {"x": x, "y": tf.ones([4, 2], precision)}


def rate(step):
  cosine = lambda t: RATE * 0.5 * (1 + np.cos(np.pi * t / STEPS))
  return 0.01 + step / WARMUP * (cosine(WARMUP) - 0.01) if step < WARMUP else cosine(step)


def gradients(parameters, x):
  x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
  upstream = 2 * (x @ parameters["dense/kernel"] + parameters["dense/bias"] - 1)
  return {"dense/kernel": x.T @ upstream, "dense/bias": upstream.sum(0)}


def section(state, name):
  return {key[1]: array for key, array in state.items() if key[0] == name}


def sgd(parameter, gradient, slots, step):
  slots["momentum"] = 0.9 * slots.get("momentum", 0) - rate(step) * gradient
  return parameter + 0.9 * slots["momentum"] - rate(step) * gradient


def adam(parameter, gradient, slots, step, epsilon=1e-7):
  slots["m"] = 0.9 * slots.get("m", 0) + 0.1 * gradient
  slots["v"] = 0.999 * slots.get("v", 0) + 0.001 * gradient**2
  scale = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
  return parameter - rate(step) * scale * slots["m"] / (np.sqrt(slots["v"]) + epsilon)


def adamw(parameter, gradient, slots, step):
  decayed = parameter - rate(step) * 0.1 * parameter if parameter.ndim == 2 else parameter
  return adam(decayed, gradient, slots, step)


FORMULAS = {
  "sgd": (sgd, {"momentum": 0.9, "nesterov": True}),
  "sgd_experimental": (sgd, {"momentum": 0.9, "nesterov": True}),
  "adam": (adam, {}),
  "adam_experimental": (adam, {}),
  "adamw": (
    adamw,
    {"weight_decay_rate": 0.1, "exclude_from_weight_decay": ["bias"], "gradient_clip_norm": 0.0},
  ),
}


@pytest.mark.parametrize("optimizer", FORMULAS)
def test_steps_are_the_formula_in_float64(optimizer):
  update, options = FORMULAS[optimizer]
  average = not optimizer.endswith("experimental")  # TFMG averages with the older ones only.
  tested = trainer(optimizer, average=average, **options)
  state = tested.state()
  parameters, slots = section(state, "parameter"), {name: {} for name in NAMES}
  averages, mean = dict(parameters), np.zeros(3)
  assert set(parameters) == set(NAMES)
  for step, x in enumerate(BATCHES):
    np.testing.assert_allclose(state["rate", "learning_rate"], rate(step), rtol=1e-14)
    assert state["rate", "steps"] == step
    for name, gradient in gradients(parameters, x).items():
      parameters[name] = update(parameters[name], gradient, slots[name], step)
      decay = min(0.8, (2 + step) / (11 + step))  # TFMG counts the step just made.
      averages[name] = decay * averages[name] + (1 - decay) * parameters[name]
    mean = 0.99 * mean + 0.01 * x.mean(0)
    losses = tested.step(tensors(step))
    assert "total" in losses
    state = tested.state()
    # Keras' own layer rounds its momentum to float32.
    np.testing.assert_allclose(state["buffer", "norm/moving_mean"], mean, rtol=1e-7)
    assert_close(section(state, "parameter"), parameters)
    got = section(state, "slot")
    assert_close(got, {f"{n}|{slot}": a for n in NAMES for slot, a in slots[n].items()})
    if average:
      assert_close({name: section(state, "average")[name] for name in NAMES}, averages)


def assert_close(got, want):
  assert set(got) == set(want)
  for name in want:
    np.testing.assert_allclose(got[name], want[name], rtol=1e-11, atol=1e-14, err_msg=name)


def test_losses_are_those_of_the_batch_before_the_step():
  tested = trainer("sgd")
  parameters = section(tested.state(), "parameter")
  x = BATCHES[0]
  x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
  want = ((x @ parameters["dense/kernel"] + parameters["dense/bias"] - 1) ** 2).sum()
  got = tested.step(tensors(0))
  np.testing.assert_allclose(got["total"], want, rtol=1e-12)


@pytest.mark.parametrize("precision", ["float64", "float32", "mixed_bfloat16"])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "sgd_experimental"])
def test_going_on_from_a_state_is_the_same_bit_for_bit(optimizer, precision):
  average = optimizer == "sgd"
  first, second = (trainer(optimizer, precision, average, momentum=0.5) for _ in range(2))
  low = "float32" if precision == "mixed_bfloat16" else precision
  states = [first.state()]
  for step in range(3):
    first.step(tensors(step, low))
    states.append(first.state())
  assert (("average", "norm/moving_mean") in states[0]) is average
  assert ("slot", "dense/kernel|momentum") in states[0]
  for step in (2, 0, 1):
    second.load(states[step])
    second.step(tensors(step, low))
    for key, want in states[step + 1].items():
      np.testing.assert_array_equal(second.state()[key], want, err_msg=str(key))
  assert states[3]["parameter", "dense/kernel"].dtype == low


NEWER = {
  tf_keras.optimizers.RMSprop: {"rms", "momentum"},
  tf_keras.optimizers.Adam: {"m", "v"},
  tf_keras.optimizers.AdamW: {"m", "v"},
  tf_keras.optimizers.Adagrad: {"accumulator"},
  tf_keras.optimizers.Adadelta: {"accumulated_grads", "accumulated_delta_vars"},
}


@pytest.mark.parametrize("kind", NEWER, ids=lambda kind: kind.__name__)
def test_slots_of_newer_optimizers(kind):
  task = Task(Config())
  task.precision = "float64"
  options = {"momentum": 0.5} if kind is tf_keras.optimizers.RMSprop else {}
  tested = TaskTrainer(task, task.build_model(), lambda: kind(0.1, **options))
  state = tested.state()
  want = {f"{name}|{slot}" for name in NAMES for slot in NEWER[kind]}
  assert set(section(state, "slot")) == want
  assert state["rate", "learning_rate"] == 0.1


def test_a_state_that_lacks_something_or_has_another_shape_is_refused():
  tested = trainer("sgd", momentum=0.5)
  state = tested.state()
  for section_ in ("slot", "average", "rate"):
    with pytest.raises(KeyError):
      tested.load({key: a for key, a in state.items() if key[0] != section_})
  with pytest.raises(ValueError, match="shape"):
    tested.load(state | {("parameter", "dense/bias"): np.zeros(1)})


def test_double_ends_where_it_ends():
  from official.modeling.optimization import lr_schedule

  schedule = lr_schedule.CosineDecayWithOffset(initial_learning_rate=0.1, decay_steps=10)
  with double():
    assert lr_schedule.tf.float32 == tf.float64
    assert schedule(1).dtype == tf.float64
    assert tf_keras.backend.floatx() == "float64"
  assert lr_schedule.tf is tf
  assert schedule(1).dtype == tf.float32
  assert tf_keras.backend.floatx() == "float32"
