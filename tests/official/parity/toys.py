"""A small network, written here in TensorFlow, with a place for every defect; and its case.

The original is in `toys_original`, so that torch is imported only where it runs.

conv (stride 2, no bias) → BatchNorm → leaky, a block conv + GELU + x, pool, head; squared and
absolute losses; SGD with momentum, coupled decay on kernels, a schedule and averaged weights.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from official.checkpoints.rules import Ignore, Rule
from official.layers.activations import Activation
from official.layers.convolution import Conv2D
from official.layers.normalization import BatchNorm
from official.parity.case import Excuse, ParityCase, Side, TapRule
from official.parity.recorders.keras_recorder import KerasRecorder

POLICIES = {"float64": "float64", "float32": "float32", "bfloat16": "mixed_bfloat16"}
SIZE = (18, 15)
RATE, MOMENTUM, DECAY, AVERAGE = 0.05, 0.9, 0.01, 0.9


class OurBlock(tf_keras.layers.Layer):
  """The candidate's block; `glue` joins the branch and the input."""

  def __init__(self, channels: int, act: str, glue: Callable, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.conv = Conv2D(channels, 3, name="conv")
    self.act = Activation(act, name="act")
    self.glue = glue

  def call(self, x):
    return self.glue(self.act(self.conv(x)), x)


class OurNetwork(tf_keras.Model):
  """The candidate; `pool` is a function, as the original's is."""

  def __init__(self, defects: "Defects", channels: int = 6, classes: int = 5) -> None:
    super().__init__(name="network")
    self.stem = defects.stem(channels, 3, 2, use_bias=False, name="stem")
    self.norm = BatchNorm(defects.momentum, defects.epsilon, name="norm")
    self.act = tf_keras.layers.Lambda(
      lambda x: tf.maximum(x, tf.constant(defects.slope, x.dtype) * x), name="act"
    )
    self.block = OurBlock(channels, defects.act, defects.glue, name="block")
    self.head = tf_keras.layers.Dense(classes, name="head")
    self.backward = defects.backward

  def call(self, x, training=False):
    x = self.act(self.norm(self.stem(x), training=training))
    return self.head(tf.reduce_mean(self.block(self.backward(x)), (1, 2)))


@dataclasses.dataclass(frozen=True)
class Defects:
  """What the candidate does otherwise than the original; nothing by default."""

  stem: Callable = Conv2D
  momentum: float = 0.97
  epsilon: float = 1e-5
  slope: float = 0.1
  act: str = "gelu"
  glue: Callable = tf.add
  backward: Callable = lambda x: x
  squared: Callable = lambda outputs, targets: tf.reduce_mean((outputs - targets) ** 2)
  weight: float = 0.5
  decay: Callable = lambda name: DECAY if name.endswith("kernel") else 0.0
  sgd_momentum: float = MOMENTUM
  schedule: Callable = lambda step: RATE / (1 + step)
  average: float = AVERAGE
  mean: float = 0.4
  settings: dict = dataclasses.field(default_factory=lambda: {"epsilon": 1e-5})


class OurTrainer:
  """`case.Trainer` of the candidate: SGD as PyTorch has it."""

  def __init__(self, network: OurNetwork, losses: Callable, defects: Defects) -> None:
    self._recorder = KerasRecorder(Side(network, None))
    self._network, self._losses, self._defects = network, losses, defects
    self._steps = 0
    self._slots = {n: np.zeros_like(a) for n, a in self._recorder.parameters().items()}
    self._averages = self._recorder.parameters()

  def step(self, batch):
    with tf.GradientTape() as tape:
      losses = self._losses(self._network(batch["x"], training=True), batch)
    parameters = self._recorder.parameters()
    found = {id(v): n for n, v in _variables(self._network).items()}
    variables = self._network.trainable_variables
    gradients = tape.gradient(losses["total"], variables)
    rate, first = self._defects.schedule(self._steps), self._steps == 0
    for variable, gradient in zip(variables, gradients, strict=True):
      name = found[id(variable)]
      gradient = np.zeros(variable.shape) if gradient is None else gradient.numpy()
      update = gradient + self._defects.decay(name) * parameters[name]
      slot = update if first else self._defects.sgd_momentum * self._slots[name] + update
      self._slots[name] = slot
      parameters[name] = parameters[name] - rate * slot
    self._recorder.load(parameters, self._recorder.buffers())
    share = self._defects.average if self._steps else 0.0
    for name, value in parameters.items():
      self._averages[name] = share * self._averages[name] + (1 - share) * value
    self._steps += 1
    return losses

  def state(self):
    state = {("parameter", n): a for n, a in self._recorder.parameters().items()}
    state |= {("buffer", n): a for n, a in self._recorder.buffers().items()}
    state |= {("slot", f"{n}|momentum"): a for n, a in self._slots.items()}
    state |= {("average", n): a for n, a in self._averages.items()}
    state["rate", "learning_rate"] = np.float64(self._defects.schedule(self._steps))
    state["rate", "steps"] = np.int64(self._steps)
    return state

  def load(self, state):
    part = lambda section: {n: a for (s, n), a in state.items() if s == section}
    self._recorder.load(part("parameter"), part("buffer"))
    self._slots = {n.removesuffix("|momentum"): a for n, a in part("slot").items()}
    self._averages = part("average")
    self._steps = int(state["rate", "steps"])


def _variables(network):
  from official.parity.recorders.keras_names import parameter_names

  return parameter_names(network)


TAPS = (
  TapRule("block.{part}", "block/{part}"),
  TapRule("{path*}", "{path*}"),
)


def batch(seed: int) -> dict[str, np.ndarray]:
  random = np.random.default_rng(seed)
  return {"x": random.normal(size=(2, 3, *SIZE)), "t": random.normal(size=(2, 5))}


def original(precision: str, seed: int) -> Side:
  from tests.official.parity import toys_original

  return toys_original.original(precision, seed)


def top(logits):
  order = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")[:, :2]
  return {"classes": order, "scores": np.take_along_axis(logits, order, 1)}


def candidate(precision: str, defects: Defects) -> Side:
  before = tf_keras.mixed_precision.global_policy()
  tf_keras.mixed_precision.set_global_policy(POLICIES[precision])
  network = OurNetwork(defects)
  network(tf.zeros((1, *SIZE, 3), precision))
  tf_keras.mixed_precision.set_global_policy(before)

  def losses(outputs, batch):
    squared = defects.squared(outputs, batch["t"])
    absolute = tf.reduce_mean(tf.abs(outputs - batch["t"]))
    total = squared + tf.cast(defects.weight, outputs.dtype) * absolute
    return {"squared": squared, "absolute": absolute, "total": total}

  return Side(
    network,
    lambda batch, training: network(batch["x"], training=training),
    losses,
    lambda: OurTrainer(network, losses, defects),
    preprocess=lambda image: {"x": (image[None] / 255.0 - defects.mean)},
    postprocess=lambda outputs: top(outputs[""]),
    settings=defects.settings,
  )


def case(defects: Defects | None = None, **changes: Any) -> ParityCase:
  """The toy as a case; `changes` replace its fields."""
  made = ParityCase(
    name="toys/toy",
    reference=original,
    candidate=lambda precision: candidate(precision, defects or Defects()),
    weights=(
      Rule("stem.weight", "stem/kernel", "conv"),
      Rule("block.conv.weight", "block/conv/kernel", "conv"),
      Rule("block.conv.bias", "block/conv/bias"),
      Rule("head.weight", "head/kernel", "linear"),
      Rule("head.bias", "head/bias"),
      Rule("norm.weight", "norm/gamma"),
      Rule("norm.bias", "norm/beta"),
      Rule("norm.running_mean", "norm/moving_mean"),
      Rule("norm.running_var", "norm/moving_variance"),
      Ignore("norm.num_batches_tracked", "counts steps and is not used"),
    ),
    taps=TAPS,
    batch=batch,
    layouts={4: "b c h w -> b h w c"},
    excuses=(Excuse("rate/learning_rate.1", "the second group has the rate of the first"),),
    choices=("classes",),
  )
  return dataclasses.replace(made, **changes)
