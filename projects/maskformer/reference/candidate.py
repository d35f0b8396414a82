"""Our side of this project's parity cases: the networks of its variants, with their loss."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from official.parity.case import Side, Trainer
from official.parity.recorders.keras_precision import computing_in
from official.parity.recorders.keras_trainer import TaskTrainer
from official.training.adamw import AdamW
from official.training.schedules import Poly, Schedule, Steps
from projects.maskformer.configs.model import Model
from projects.maskformer.losses.criterion import maskformer_loss
from projects.maskformer.losses.matcher import LossWeights
from projects.maskformer.modeling.factory import build_maskformer
from projects.maskformer.modeling.variants import get_variant
from projects.maskformer.reference import recipe as figures
from projects.maskformer.reference.recipe import Recipe
from projects.maskformer.tasks.roles import groups


class Candidate:
  """A variant without dropout and stochastic depth, its normalizations frozen.

  Args:
    variant: a key of `projects.maskformer.modeling.variants.VARIANTS`.
    classes: that it tells apart.
    recipe: of its training.
    precision: of the network.
  """

  def __init__(self, variant: str, classes: int, recipe: Recipe, precision: str) -> None:
    self.recipe = recipe
    self.config = Model(variant=variant, num_classes=classes, dropout=0.0, drop_path=0.0)
    self.weights = LossWeights()
    with computing_in(precision):
      self.model = build_maskformer(self.config)

  def side(self) -> Side:
    """What parity compares."""
    return Side(
      network=self.model,
      forward=self.forward,
      losses=self.losses,
      trainer=self.trainer,
      settings=self.settings(),
    )

  def forward(self, batch: Mapping[str, tf.Tensor], training: bool) -> dict[str, Any]:
    """Outputs of all decoder layers, in inference too, as the original."""
    return self.model(batch["images"], training=training, auxiliary=True)

  def losses(
    self, outputs: Mapping[str, Any], batch: Mapping[str, tf.Tensor]
  ) -> dict[str, tf.Tensor]:
    """All terms without weights, and "total" with them."""
    losses = maskformer_loss(outputs, batch, self.weights)
    return {"total": losses.pop("total_loss"), **losses}

  def trainer(self) -> Trainer:
    """Trains the network as the recipe says."""
    return TaskTrainer(_Training(self), self.model, self._optimizer)

  def _optimizer(self) -> AdamW:
    recipe = self.recipe
    rate: Schedule = Steps(recipe.learning_rate, [figures.DECAY_AFTER], figures.DECAY_FACTOR)
    if recipe.polynomial:
      rate = Poly(recipe.learning_rate, figures.POLYNOMIAL_STEPS, figures.POWER)
    optimizer = AdamW(rate, recipe.weight_decay, figures.CLIP_NORM)
    optimizer.assign_groups(groups(self.model, recipe.backbone_multiplier))
    return optimizer

  def settings(self) -> dict[str, Any]:
    """Figures under the names that the originals use too."""
    variant, weights = get_variant(self.config.variant), self.weights
    return {
      "queries": variant.queries,
      "classes": self.config.num_classes,
      "encoder layers": variant.encoder_layers,
      "decoder layers": variant.decoder_layers,
      "heads": variant.heads,
      "weights": [weights.classes, weights.mask, weights.dice],
      "no-object weight": weights.no_object,
    } | self.recipe.settings()


class _Training:
  """What a trainer needs of a task."""

  loss = "total"

  def __init__(self, candidate: Candidate) -> None:
    self._candidate = candidate

  def train_step(
    self,
    inputs: Mapping[str, tf.Tensor],
    model: tf_keras.Model,
    optimizer: tf_keras.optimizers.Optimizer,
  ) -> dict[str, tf.Tensor]:
    """Forward, backward, update; returns the loss and its terms."""
    with tf.GradientTape() as tape:
      losses = self._candidate.losses(self._candidate.forward(inputs, True), inputs)
    variables = model.trainable_variables
    gradients = tape.gradient(losses["total"], variables)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return losses
