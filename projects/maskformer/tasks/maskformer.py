"""The segmentation task: what TFMG's trainer asks of a MaskFormer, or of a per-pixel baseline."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError, nearest
from official.core import base_task, task_factory
from official.datasets.categories import read_categories
from official.datasets.coco import Category
from official.evaluation.gathering import merge_workers
from official.reports.segments import draw_segments, found_segments
from official.serving import foreign, weights
from official.serving.run_folder import RunFolder
from official.training.adamw import AdamW
from official.training.wrapping import innermost
from projects.maskformer.checkpoints.foreign import foreign_files
from projects.maskformer.configs.data import DataConfig
from projects.maskformer.configs.maskformer import MaskFormerTask as MaskFormerTaskConfig
from projects.maskformer.dataloaders import many_views, targets
from projects.maskformer.dataloaders.maskformer_input import build_dataset
from projects.maskformer.dataloaders.normalization import normalize
from projects.maskformer.losses import criterion
from projects.maskformer.losses.matcher import LossWeights
from projects.maskformer.losses.per_pixel import per_pixel_loss
from projects.maskformer.modeling.dropout import drawn_from
from projects.maskformer.modeling.factory import build_maskformer
from projects.maskformer.modeling.parts import Parts
from projects.maskformer.modeling.variants import get_variant
from projects.maskformer.serving.inference import View
from projects.maskformer.tasks import evaluation, roles

Logs = dict[str, Any]

_LOGITS = ("class_logits", "mask_logits", "semantic_logits")
_ON_HOST = (*_LOGITS, "shown", "groundtruths", "images", "views")
_PICTURES = 4  # How many predicted images an evaluation shows in TensorBoard.


@task_factory.register_task_cls(MaskFormerTaskConfig)
class MaskFormerTask(base_task.Task):
  """Trains and evaluates a network on segments."""

  @property
  def is_per_pixel(self) -> bool:
    """Whether the network is a baseline that classifies pixels."""
    return get_variant(self.task_config.model.variant).kind != "mask"

  def build_model(self) -> Parts:
    """The network of the configuration, its variables made."""
    return build_maskformer(self.task_config.model)

  def initialize(self, model: Parts) -> None:
    """Starts from `init_checkpoint`, where there is one.

    It is a checkpoint, the folder of a run, or a file of an original's, see `foreign_files`.
    """
    config = self.task_config
    path, parts = config.init_checkpoint, config.init_checkpoint_modules
    if not path:
      return
    known = list(model.checkpoint_items)
    for name in parts:
      if name not in known:
        hint = f"{nearest(name, known)} ({', '.join(known)})"
        raise UserError(f"task.init_checkpoint_modules: the network has no part '{name}'{hint}")
    if foreign.is_foreign(path):
      foreign.load(model, path, foreign_files(config), parts)
    else:
      weights.load(model, RunFolder(path).checkpoint(best="best"), parts)

  def categories(self, params: DataConfig) -> list[Category]:
    """Classes of the data; raises `UserError` where the network has another number of them."""
    categories = read_categories(params, self.task_config.categories)
    expected = self.task_config.model.num_classes
    if len(categories) != expected:
      raise UserError(
        f"task.model.num_classes is {expected}, but the data has {len(categories)} categories"
      )
    return categories

  def build_inputs(
    self,
    params: DataConfig,
    input_context: tf.distribute.InputContext | None = None,
    start_step: int = 0,
  ) -> tf.data.Dataset:
    """Batches of images and labels, from global step `start_step` on."""
    return build_dataset(
      params,
      category_ids=[category.id for category in self.categories(params)],
      input_context=input_context,
      start_step=start_step,
    )

  def build_losses(
    self, labels: Mapping[str, tf.Tensor], model_outputs: Logs, aux_losses: Any = None
  ) -> dict[str, tf.Tensor]:
    """The loss and its terms, see `maskformer_loss` and `per_pixel_loss`.

    Args:
      labels: as `targets.expand` makes them.
      model_outputs: of the network.
      aux_losses: there are none.
    """
    del aux_losses
    if self.is_per_pixel:
      return per_pixel_loss(model_outputs, labels)
    config = self.task_config.losses
    gains = LossWeights(config.classes, config.mask, config.dice, config.no_object)
    return criterion.maskformer_loss(model_outputs, labels, gains)

  def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
    """Means of the last layer's loss terms; figures are computed on the host."""
    del training
    return [tf_keras.metrics.Mean(name, dtype=tf.float32) for name in self._terms()]

  def train_step(
    self,
    inputs: tuple[tf.Tensor, Logs],
    model: Parts,
    optimizer: tf_keras.optimizers.Optimizer,
    metrics: list[tf_keras.metrics.Metric] | None = None,
  ) -> Logs:
    """Forward, backward, update; returns the loss and its terms.

    The gradient is the mean over replicas. Multipliers and exceptions from weight decay are
    `AdamW`'s; other optimizers know neither.
    """
    images, labels = inputs
    data = self.task_config.train_data
    images = _normalize(images, None if data.grey_padding else labels["padding"], model)
    labels = targets.expand(labels)
    random = drawn_from(data.seed or 0, optimizer.iterations)
    with random, tf.GradientTape() as tape:
      losses = self.build_losses(labels, model(images, training=True))
      objective = losses["total_loss"] / tf.distribute.get_strategy().num_replicas_in_sync
      if scaling := isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        objective = optimizer.get_scaled_loss(objective)
    variables = model.trainable_variables
    gradients = tape.gradient(objective, variables)
    if scaling:
      gradients = optimizer.get_unscaled_gradients(gradients)
    self._assign_groups(optimizer, model)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return self._log(losses, metrics)

  def validation_step(
    self,
    inputs: tuple[tf.Tensor, Logs],
    model: Parts,
    metrics: list[tf_keras.metrics.Metric] | None = None,
  ) -> Logs:
    """Forward; logits of fixed shape, which the host makes segments of."""
    images, labels = inputs
    outputs = model(_normalize(images, labels["padding"], model), training=False)
    logs = self._log(self.build_losses(targets.expand(labels), outputs), metrics)
    logs |= {"shown": labels["shown"], "groundtruths": labels["groundtruths"]}
    if self.task_config.allow_image_summary:
      logs["images"] = images
    if "views" in labels:
      views = labels["views"]
      logs["views"] = {place: self._seen(view, model) for place, view in views.items()}
    return logs | _logits(outputs)

  def _seen(self, view: Mapping[str, tf.Tensor], model: Parts) -> Logs:
    outputs = model(_normalize(view["image"], view["padding"], model), training=False)
    return {"shown": view["shown"], **_logits(outputs)}

  def aggregate_logs(self, state: Logs | None, step_outputs: Logs) -> Logs:
    """Adds a step's outputs, of all local replicas, to the evaluations on the host."""
    state = state or self._begin()
    outputs = _to_host({key: value for key, value in step_outputs.items() if key in _ON_HOST})
    for row in np.flatnonzero(outputs["groundtruths"]["present"]):
      truth, logits = _row(outputs["groundtruths"], row), _row(_logits(outputs), row)
      sizes = self._padded, outputs["shown"][row], (truth["height"], truth["width"])
      views = self._views(outputs["views"], row) if "views" in outputs else {}
      for each in state["evaluations"]:
        each.add(truth, logits | views, sizes)
      if "images" in outputs and len(state["pictures"]) < _PICTURES:
        picture = self._picture(state, outputs["images"][row], logits, outputs["shown"][row])
        state["pictures"].append(picture)
    return state

  def reduce_aggregated_logs(self, aggregated_logs: Logs, global_step: Any = None) -> Logs:
    """The figures, and pictures under `image/segments` where they were asked for."""
    del global_step
    logs: Logs = {}
    for each in aggregated_logs["evaluations"]:
      merge_workers(each.evaluator)
      logs |= each.evaluator.evaluate()
    if aggregated_logs["pictures"]:
      logs["image/segments"] = np.stack(aggregated_logs["pictures"])
    return logs

  def _views(self, views: Logs, row: int) -> dict[str, list[View]]:
    rooms = many_views.canvases(self.task_config.validation_data)
    seen = [views[str(place)] for place in range(len(rooms))]
    return {
      "views": [
        View(_row(_logits(each), row), room, each["shown"][row])
        for each, room in zip(seen, rooms, strict=True)
      ]
    }

  @property
  def _padded(self) -> list[int]:
    return self.task_config.validation_data.output_size

  def _begin(self) -> Logs:
    """What an evaluation collects: figures, and pictures [h, w, 3] uint8."""
    config = self.task_config
    if config.validation_data.many_views.enabled and config.evaluations != ["semantic"]:
      raise UserError("many_views are for semantic labels: set task.evaluations=[semantic]")
    categories = self.categories(config.validation_data)
    processing = evaluation.post_processing(config, categories)
    kinds = [self._kind(name)(processing, categories) for name in config.evaluations]
    names = [category.name for category in categories]
    return {"evaluations": kinds, "pictures": [], "processing": processing, "names": names}

  def _kind(self, name: str) -> Any:
    known = ["semantic"] if self.is_per_pixel else list(evaluation.KINDS)
    if name not in known:
      raise UserError(
        f"task.evaluations: no '{name}'{nearest(name, known)} for this network ({', '.join(known)})"
      )
    return evaluation.KINDS[name]

  def _picture(self, state: Logs, image: np.ndarray, logits: Logs, shown: np.ndarray) -> np.ndarray:
    """The network's input with what was found on it, the whole canvas."""
    names = state["names"]
    sizes = self._padded, self._padded, self._padded
    if self.is_per_pixel:
      ids = state["processing"].labels(logits, *sizes) + 1
      classes, scores = np.arange(len(names)), np.ones(len(names))
    else:
      ids, classes, scores = state["processing"].segments(logits, *sizes)
    ids = np.array(ids)
    ids[shown[0] :] = ids[:, shown[1] :] = 0
    return np.asarray(draw_segments(image, ids, found_segments(classes, scores, names)))

  def _assign_groups(self, optimizer: tf_keras.optimizers.Optimizer, model: Parts) -> None:
    inner = innermost(optimizer)
    if isinstance(inner, AdamW):
      inner.assign_groups(roles.groups(model, self.task_config.backbone_multiplier))

  def _terms(self) -> tuple[str, ...]:
    return ("semantic_loss",) if self.is_per_pixel else criterion.TERMS

  def _log(
    self, losses: dict[str, tf.Tensor], metrics: list[tf_keras.metrics.Metric] | None
  ) -> Logs:
    for metric in metrics or []:
      metric.update_state(losses[metric.name])
    terms = {name: loss for name, loss in losses.items() if name != "total_loss"}
    return {self.loss: losses["total_loss"]} | terms


def _logits(outputs: Logs) -> Logs:
  """Those of a network's outputs that segments are made of."""
  return {key: outputs[key] for key in _LOGITS if key in outputs}


def _row(values: Logs, row: int) -> Logs:
  return {key: each[row] for key, each in values.items()}


def _normalize(images: tf.Tensor, padding: tf.Tensor | None, model: Parts) -> tf.Tensor:
  return normalize(images, padding, tf.as_dtype(model.variable_dtype))


def _to_host(outputs: Any) -> Any:
  """Tuples of the replicas' tensors → arrays of all their rows."""
  if isinstance(outputs, Mapping):
    return {key: _to_host(value) for key, value in outputs.items()}
  return np.concatenate([np.asarray(part) for part in outputs])
