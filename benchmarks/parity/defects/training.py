"""Train steps with another clip, decay, rate, momentum, epsilon or schedule."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from benchmarks.parity.blocks.adamw import AdamW, Group
from benchmarks.parity.blocks.training import (
  CLIP_NORM,
  WEIGHT_DECAY,
  StepDecay,
  Training,
  clip_by_global_norm,
  groups,
)
from benchmarks.parity.cases.all import BLOCKS
from benchmarks.parity.cases.training import BOUNDARY, RATE
from benchmarks.parity.defects.planting import Plant, at
from official.parity.case import ParityCase, Side
from official.parity.recorders.keras_trainer import TaskTrainer

_PLACES = (("transformer_decoder", "optimizer"), ("swin_block", "optimizer"))
_RATES = tuple((case, "learning_rate") for case, _ in _PLACES)


class _Training(Training):
  """`Training` with what happens to gradients apart, to get it wrong."""

  def train_step(
    self,
    inputs: Mapping[str, tf.Tensor],
    model: tf_keras.layers.Layer,
    optimizer: tf_keras.optimizers.Optimizer,
    metrics: Any = None,
  ) -> dict[str, tf.Tensor]:
    del metrics
    with tf.GradientTape() as tape:
      losses = self.losses(self.call(model, inputs, True), inputs)
    variables = model.trainable_variables
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(losses["total"], variables)]
    gradients = self.changed(gradients, variables)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return dict(losses)

  def changed(self, gradients: list[tf.Tensor], variables: list[tf.Variable]) -> list[tf.Tensor]:
    return clip_by_global_norm(gradients, CLIP_NORM)


class ClippedEach(_Training):
  """Each variable's gradient by its own norm, as Keras' `clipnorm`."""

  def changed(self, gradients: list[tf.Tensor], variables: list[tf.Variable]) -> list[tf.Tensor]:
    return [tf.clip_by_norm(gradient, CLIP_NORM) for gradient in gradients]


class ClippedByValue(_Training):
  """Each number by itself."""

  def changed(self, gradients: list[tf.Tensor], variables: list[tf.Variable]) -> list[tf.Tensor]:
    return [tf.clip_by_value(gradient, -CLIP_NORM, CLIP_NORM) for gradient in gradients]


class NotClipped(_Training):
  """As gradients come."""

  def changed(self, gradients: list[tf.Tensor], variables: list[tf.Variable]) -> list[tf.Tensor]:
    return gradients


class UnscaledTwice(_Training):
  """Divided by a loss scale that was never multiplied in, after clipping."""

  def changed(self, gradients: list[tf.Tensor], variables: list[tf.Variable]) -> list[tf.Tensor]:
    return [gradient / 1024 for gradient in super().changed(gradients, variables)]


class CoupledDecay(_Training):
  """Decay is added to the gradient, as L2 regularization does."""

  def changed(self, gradients: list[tf.Tensor], variables: list[tf.Variable]) -> list[tf.Tensor]:
    clipped = super().changed(gradients, variables)
    return [g + WEIGHT_DECAY * v for g, v in zip(clipped, variables, strict=True)]


class _AdamW(AdamW):
  """`AdamW` with its last step apart, to get it wrong."""

  def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
    index = self._index_dict[self._var_key(variable)]
    first, second = self._momentums[index], self._velocities[index]
    group = self.group(variable)
    rate = tf.cast(self.learning_rate, variable.dtype) * group.multiplier
    variable.assign_sub(rate * group.decay * variable)
    first.assign(self.beta_1 * first + (1 - self.beta_1) * gradient)
    second.assign(self.beta_2 * second + (1 - self.beta_2) * gradient**2)
    step = tf.cast(self.iterations + 1, variable.dtype)
    ones = [tf.pow(tf.constant(b, step.dtype), step) for b in (self.beta_1, self.beta_2)]
    variable.assign_sub(rate * self.direction(first, second, 1 - ones[0], 1 - ones[1]))

  def direction(
    self, first: tf.Tensor, second: tf.Tensor, share_1: tf.Tensor, share_2: tf.Tensor
  ) -> tf.Tensor:
    return first / share_1 / (tf.sqrt(second / share_2) + self.epsilon)


class KerasEpsilon(_AdamW):
  """Epsilon is added before the correction, as in `tf_keras.optimizers.Adam`."""

  def direction(
    self, first: tf.Tensor, second: tf.Tensor, share_1: tf.Tensor, share_2: tf.Tensor
  ) -> tf.Tensor:
    return first * tf.sqrt(share_2) / share_1 / (tf.sqrt(second) + self.epsilon)


class NotCorrected(_AdamW):
  """Moments as they are, as BERT's Adam."""

  def direction(
    self, first: tf.Tensor, second: tf.Tensor, share_1: tf.Tensor, share_2: tf.Tensor
  ) -> tf.Tensor:
    return first / (tf.sqrt(second) + self.epsilon)


Groups = Callable[[tf.Variable], Group]


def _no_exclusions(group: Groups) -> Groups:
  return lambda variable: dataclasses.replace(group(variable), decay=WEIGHT_DECAY)


def _no_bias_decays(group: Groups) -> Groups:
  """Nothing of one axis decays."""

  def changed(variable: tf.Variable) -> Group:
    own = group(variable)
    return own if len(variable.shape) > 1 else dataclasses.replace(own, decay=0.0)

  return changed


def _decays(amount: float) -> Callable[[Groups], Groups]:
  def change(group: Groups) -> Groups:
    def changed(variable: tf.Variable) -> Group:
      own = group(variable)
      return dataclasses.replace(own, decay=amount if own.decay else 0.0)

    return changed

  return change


def _one_rate(group: Groups) -> Groups:
  return lambda variable: dataclasses.replace(group(variable), multiplier=1.0)


def _trained(
  task: type[Training] = Training,
  optimizer: type[AdamW] = AdamW,
  group: Callable[[Groups], Groups] = lambda group: group,
  rate: float = RATE,
  boundary: int = BOUNDARY,
  **arguments: float,
) -> Callable[[str], Plant]:
  """Another trainer."""

  def plant(case: ParityCase) -> ParityCase:
    call = BLOCKS[case.name.removeprefix("blocks/")].call

    def candidate(precision: str) -> Side:
      side = case.candidate(precision)
      layer = side.network
      make = lambda: optimizer(StepDecay(rate, boundary), group(groups(layer)), **arguments)  # noqa: E731
      return dataclasses.replace(
        side, trainer=lambda: TaskTrainer(task(call, side.losses), layer, make)
      )

    return dataclasses.replace(case, candidate=candidate)

  return lambda layer: plant


def _step(name: str, cause: str, plant: Callable[[str], Plant]) -> Any:
  return at(name, cause, plant, *_PLACES, stage="optimizer")


DEFECTS = (
  *_step("each gradient clipped alone", "clip_scope", _trained(ClippedEach)),
  *_step("gradients clipped by value", "clip_scope", _trained(ClippedByValue)),
  *_step("gradients not clipped", "clip_scope", _trained(NotClipped)),
  *_step("gradients unscaled twice", "gradient_scale", _trained(UnscaledTwice)),
  *_step(
    "decay coupled to the gradient", "decay_coupling", _trained(CoupledDecay, group=_decays(0.0))
  ),
  *_step("norms and embeddings decay", "decay_exclusion", _trained(group=_no_exclusions)),
  *_step("biases do not decay", "decay_exclusion", _trained(group=_no_bias_decays)),
  *_step("decay of 0.004", "decay_amount", _trained(group=_decays(0.004))),
  *at(
    "the backbone learns as fast as the rest",
    "learning_rate",
    _trained(group=_one_rate),
    ("maskformer", "optimizer"),
    stage="optimizer",
  ),
  *at("a tenth of the rate", "learning_rate", _trained(rate=RATE / 10), *_RATES, stage="optimizer"),
  *at(
    "rate falls a step late",
    "learning_rate",
    _trained(boundary=BOUNDARY + 1),
    *_RATES,
    stage="trajectory",
  ),
  *_step("beta 2 of 0.98", "momentum", _trained(beta_2=0.98)),
  *_step("beta 1 of 0.95", "momentum", _trained(beta_1=0.95)),
  *_step("epsilon 1e-7", "optimizer_epsilon", _trained(epsilon=1e-7)),
  *_step("epsilon before the correction", "optimizer_epsilon", _trained(optimizer=KerasEpsilon)),
  *_step("moments not corrected", "bias_correction", _trained(optimizer=NotCorrected)),
)
