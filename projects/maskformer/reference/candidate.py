"""Our side of this project's parity cases: the networks and the task of its experiments."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

import projects.registry  # noqa: F401
from official.parity.case import Side, Trainer
from official.parity.recorders.keras_precision import computing_in
from official.parity.recorders.keras_trainer import TaskTrainer
from official.training import settings
from projects.maskformer.dataloaders.normalization import PIXEL_MEAN, PIXEL_STD
from projects.maskformer.modeling.variants import get_variant
from projects.maskformer.reference import recipe as figures
from projects.maskformer.reference.recipe import Recipe
from projects.maskformer.tasks.maskformer import MaskFormerTask


class Candidate:
  """A variant as its experiment configures it, without chance and with a short schedule.

  Args:
    experiment: whose network and task are taken.
    recipe: of the original's training; what it says of steps is the schedule.
    precision: of the network.
  """

  def __init__(self, experiment: str, recipe: Recipe, precision: str) -> None:
    self._params = settings.experiment(experiment)
    settings.override(self._params, _changes(recipe), "the parity case")
    self._task = MaskFormerTask(self._params.task)
    with computing_in(precision):
      self._model = self._task.build_model()

  def side(self) -> Side:
    """What parity compares."""
    return Side(
      network=self._model,
      forward=self._forward,
      losses=self._losses,
      trainer=self._trainer,
      settings=self._settings(),
    )

  def _forward(self, batch: Mapping[str, tf.Tensor], training: bool) -> dict[str, Any]:
    """Outputs of all decoder layers, in inference too, as the original."""
    return self._model(batch["images"], training=training, auxiliary=True)

  def _losses(
    self, outputs: Mapping[str, Any], batch: Mapping[str, tf.Tensor]
  ) -> dict[str, tf.Tensor]:
    losses = self._task.build_losses(batch, outputs)
    return {"total": losses.pop("total_loss"), **losses}

  def _trainer(self) -> Trainer:
    config = self._params.trainer.optimizer_config
    return TaskTrainer(
      self._task, self._model, lambda: self._task.create_optimizer(config), _inputs
    )

  def _settings(self) -> dict[str, Any]:
    """Figures under the names that the originals use too."""
    task, optimization = self._params.task, self._params.trainer.optimizer_config
    variant, losses = get_variant(task.model.variant), task.losses
    optimizer = optimization.optimizer.get()
    return {
      "queries": variant.queries,
      "classes": task.model.num_classes,
      "encoder layers": variant.encoder_layers,
      "decoder layers": variant.decoder_layers,
      "heads": variant.heads,
      "weights": [losses.classes, losses.mask, losses.dice],
      "no-object weight": losses.no_object,
      "learning rate": optimization.learning_rate.get().initial_learning_rate,
      "backbone multiplier": task.backbone_multiplier,
      "weight decay": optimizer.weight_decay,
      "clip norm": optimizer.clip_norm,
    }


def _inputs(batch: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """A step's input as the pipeline makes it: levels of pixels, and a segment's place for each."""
  images, masks = batch["images"], tf.cast(batch["masks"], tf.int32)
  mean, std = (tf.constant(each, images.dtype) for each in (PIXEL_MEAN, PIXEL_STD))
  places = tf.range(1, masks.shape[1] + 1)
  labels = {
    "classes": batch["classes"],
    "places": tf.broadcast_to(places, batch["classes"].shape),
    "valid": batch["valid"],
    "segments": tf.cast(tf.einsum("bnhw,n->bhw", masks, places), tf.uint8),
    "padding": tf.ones(images.shape[:3], tf.bool),
  }
  return images * std + mean, labels


def _changes(recipe: Recipe) -> dict[str, Any]:
  rate = {"steps": {"boundaries": [figures.DECAY_AFTER]}}
  if recipe.polynomial:
    rate = {"poly": {"decay_steps": figures.POLYNOMIAL_STEPS}}
  optimization: dict[str, Any] = {"learning_rate": rate}
  if recipe.warmup_steps:
    optimization["warmup"] = {"product": {"warmup_steps": recipe.warmup_steps}}
  return {
    "task": {"model": {"dropout": 0.0, "drop_path": 0.0}},
    "trainer": {"optimizer_config": optimization},
  }
