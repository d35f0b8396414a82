"""Our side of this project's parity cases: the networks and the task of its experiments."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

import projects.registry  # noqa: F401
from official.layers.activations import leaky
from official.modeling.optimization import OptimizationConfig
from official.parity.case import Arrays, Side, Trainer
from official.parity.recorders.keras_precision import computing_in
from official.parity.recorders.keras_trainer import TaskTrainer
from official.training import settings
from projects.yolo.modeling.variants import get_variant
from projects.yolo.ops import geometry
from projects.yolo.tasks.yolo import YoloTask


class Candidate:
  """A variant as its experiment configures it, on small images and with a short schedule.

  Args:
    experiment: whose network and task are taken.
    schedule: warmup_steps, decay_steps, average_decay and rate_share, by which the experiment's
      learning rates are multiplied.
    input_size: side of the input in pixels.
    precision: of the network.
  """

  def __init__(
    self, experiment: str, schedule: Mapping[str, Any], input_size: int, precision: str
  ) -> None:
    self._params = settings.experiment(experiment)
    settings.override(self._params, _changes(schedule, input_size), "the parity case")
    _multiply_rates(self._params.trainer.optimizer_config, schedule["rate_share"])
    self._task = YoloTask(self._params.task)
    with computing_in(precision):
      self._model = self._task.build_model()

  def side(self) -> Side:
    """What parity compares."""
    return Side(
      network=self._model,
      forward=lambda batch, training: self._model(batch["images"], training=training),
      losses=self._losses,
      trainer=self._trainer,
      preprocess=self._preprocess,
      postprocess=self._postprocess,
      settings=self._settings(),
    )

  def _losses(
    self, outputs: Mapping[str, Any], batch: Mapping[str, tf.Tensor]
  ) -> dict[str, tf.Tensor]:
    losses = self._task.build_losses(_labels(batch), outputs)
    return {"total": losses.pop("total_loss"), **losses}

  def _trainer(self) -> Trainer:
    config = self._params.trainer.optimizer_config
    return TaskTrainer(
      self._task,
      self._model,
      lambda: self._task.create_optimizer(config),
      lambda batch: (batch["images"], _labels(batch)),
    )

  def _preprocess(self, photograph: np.ndarray) -> Arrays:
    size = self._params.task.model.input_size
    image, info = geometry.letterbox(tf.constant(photograph), size)
    return {"image": image.numpy(), "image_info": info.numpy()}

  def _postprocess(self, outputs: Arrays) -> Arrays:
    found = self._model.detections(raw_outputs(outputs))
    return {name: value.numpy() for name, value in found.items()}

  def _settings(self) -> dict[str, Any]:
    model, optimization = self._params.task.model, self._params.trainer.optimizer_config
    losses, coordinates = self._params.task.losses, self._model.coordinates
    cosine, optimizer = optimization.learning_rate.get(), optimization.optimizer.get()
    return {
      "norm epsilon": model.norm_epsilon,
      "norm momentum": model.norm_momentum,
      "activation": get_variant(model.variant).activation,
      "leaky slope": -float(leaky(tf.constant(-1.0, tf.float64))),
      "coordinates": coordinates.form,
      "reach of centres": {str(key): reach for key, reach in sorted(coordinates.scale_xy.items())},
      "anchors": {str(level): coordinates.anchors[level] for level in sorted(coordinates.anchors)},
      "gains": [losses.box, losses.objectness, losses.classes, losses.ratio_threshold],
      "learning rate": cosine.initial_learning_rate,
      "last share of the learning rate": cosine.alpha,
      "warm-up steps": optimization.warmup.get().warmup_steps,
      "decay steps": cosine.decay_steps,
      "momentum": optimizer.momentum,
      "first momentum": optimizer.warmup_momentum,
      "first learning rate of biases": optimizer.warmup_bias_rate,
      "weight decay": self._params.task.weight_decay,
      "average decay": optimization.ema.average_decay,
      **model.detection.as_dict(),
    }


def raw_outputs(outputs: Arrays) -> dict[str, tf.Tensor]:
  """A network's raw outputs by level, of all its outputs by leaf name ("raw.4")."""
  return {
    name.removeprefix("raw."): tf.constant(array)
    for name, array in outputs.items()
    if name.startswith("raw.")
  }


def _labels(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  return {name: batch[name] for name in ("boxes", "classes", "valid")}


def _changes(schedule: Mapping[str, Any], input_size: int) -> dict[str, Any]:
  return {
    "task": {"model": {"input_size": input_size}},
    "trainer": {
      "optimizer_config": {
        "ema": {"average_decay": schedule["average_decay"]},
        "learning_rate": {"cosine": {"decay_steps": schedule["decay_steps"]}},
        "optimizer": {"sgd_torch": {"warmup_steps": schedule["warmup_steps"]}},
        "warmup": {"linear": {"warmup_steps": schedule["warmup_steps"]}},
      }
    },
  }


def _multiply_rates(config: OptimizationConfig, share: float) -> None:
  config.learning_rate.get().initial_learning_rate *= share
  config.optimizer.get().warmup_bias_rate *= share
