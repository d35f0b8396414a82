"""The detection task: what TFMG's trainer asks of a YOLO."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.core import base_task, task_factory
from official.datasets.categories import read_things
from official.datasets.coco import Category
from official.evaluation.coco import CocoBoxEvaluator
from official.evaluation.gathering import merge_workers
from official.layers.quads import to_quads
from official.reports.boxes import detections_to_boxes, draw_boxes
from official.serving import foreign, weights
from official.serving.run_folder import RunFolder
from official.training.sgd import SGD
from official.training.wrapping import innermost
from projects.yolo.checkpoints.foreign import foreign_files
from projects.yolo.configs.data import DataConfig
from projects.yolo.configs.yolo import YoloTask as YoloTaskConfig
from projects.yolo.dataloaders.yolo_input import build_dataset
from projects.yolo.losses.adversarial import hide
from projects.yolo.modeling import roles
from projects.yolo.modeling.factory import build_loss, build_yolo
from projects.yolo.modeling.yolo import Yolo
from projects.yolo.ops.boxes import to_image_pixels

Logs = dict[str, Any]

LOSS_TERMS = ("box_loss", "objectness_loss", "class_loss")
_ON_HOST = ("detections", "groundtruths", "images", "boxes_on_input")
_PICTURES = 4  # How many predicted images an evaluation shows in TensorBoard.
_PICTURE_SCORE = 0.3


@task_factory.register_task_cls(YoloTaskConfig)
class YoloTask(base_task.Task):
  """Trains and evaluates a `Yolo` on boxes."""

  def build_model(self) -> Yolo:
    """The network of the configuration, its variables made."""
    return build_yolo(self.task_config.model)

  def initialize(self, model: Yolo) -> None:
    """Starts from `init_checkpoint`, where there is one.

    It is a checkpoint, the folder of a run, or a file of Darknet's, see `foreign_files`.
    """
    path = self.task_config.init_checkpoint
    if foreign.is_foreign(path):
      foreign.load(model, path, foreign_files(self.task_config))
    elif path:
      weights.load(model, RunFolder(path).checkpoint(best="best"))

  def categories(self, params: DataConfig) -> list[Category]:
    """Classes of the data; raises `UserError` where the network has another number of them."""
    things = read_things(params, self.task_config.categories)
    expected = self.task_config.model.num_classes
    if len(things) != expected:
      raise UserError(
        f"task.model.num_classes is {expected}, but the data has {len(things)} thing categories"
      )
    return things

  def build_inputs(
    self,
    params: DataConfig,
    input_context: tf.distribute.InputContext | None = None,
    start_step: int = 0,
  ) -> tf.data.Dataset:
    """Batches of images and labels, from global step `start_step` on.

    Images of training are in quads where the network's stem is.
    """
    model = self.task_config.model
    batches = build_dataset(
      params,
      input_size=model.input_size,
      category_ids=[category.id for category in self.categories(params)],
      input_context=input_context,
      start_step=start_step,
    )
    if params.is_training and model.stem_on_quads:
      batches = batches.map(lambda images, labels: (to_quads(images), labels))
    return batches

  def build_losses(
    self, labels: Mapping[str, tf.Tensor], model_outputs: Logs, aux_losses: Any = None
  ) -> dict[str, tf.Tensor]:
    """The loss and its terms, see `yolo_loss` and `v7_loss`."""
    del aux_losses
    return build_loss(self.task_config)(model_outputs, labels)

  def build_metrics(self, training: bool = True) -> list[tf_keras.metrics.Metric]:
    """Means of the loss terms; AP is computed on the host, see `aggregate_logs`."""
    del training
    return [tf_keras.metrics.Mean(name, dtype=tf.float32) for name in LOSS_TERMS]

  def train_step(
    self,
    inputs: tuple[tf.Tensor, Logs],
    model: Yolo,
    optimizer: tf_keras.optimizers.Optimizer,
    metrics: list[tf_keras.metrics.Metric] | None = None,
  ) -> Logs:
    """Forward, backward, update; returns the loss and its terms.

    As the original, the gradient is that of loss × images on the replica, summed over replicas, and
    weight decay is coupled: it is added to the gradient of convolution kernels.
    """
    images, labels = inputs
    _assign_biases(optimizer, model)
    if self.task_config.adversarial.rate:
      images = self._with_hidden_objects(images, model, optimizer.iterations)
    with tf.GradientTape() as tape:
      losses = self.build_losses(labels, model(images, training=True))
      objective = losses["total_loss"] * tf.cast(tf.shape(images)[0], losses["total_loss"].dtype)
      if scaling := isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
        objective = optimizer.get_scaled_loss(objective)
    variables = model.trainable_variables
    gradients = tape.gradient(objective, variables)
    if scaling:
      gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(self._decayed(gradients, model), variables, strict=True))
    return self._log(losses, metrics)

  def validation_step(
    self,
    inputs: tuple[tf.Tensor, Logs],
    model: Yolo,
    metrics: list[tf_keras.metrics.Metric] | None = None,
  ) -> Logs:
    """Forward and detections, in pixels of the original images; nothing leaves the device yet."""
    images, labels = inputs
    outputs = model(images, training=False)
    truth = labels["groundtruths"]
    detections = dict(outputs["detections"])
    size = tf.stack([truth["height"], truth["width"]], axis=-1)
    detections["boxes"] = to_image_pixels(detections["boxes"], labels["image_info"], size)
    losses = self.build_losses(labels, outputs)
    logs = {**self._log(losses, metrics), "detections": detections, "groundtruths": truth}
    if self.task_config.allow_image_summary:
      logs |= {"images": images, "boxes_on_input": outputs["detections"]["boxes"]}
    return logs

  def aggregate_logs(self, state: Logs | None, step_outputs: Logs) -> Logs:
    """Adds a step's outputs, of all local replicas, to the evaluator on the host."""
    state = state or {"evaluator": self._evaluator(), "pictures": []}
    outputs = _to_host({key: value for key, value in step_outputs.items() if key in _ON_HOST})
    state["evaluator"].add(outputs["groundtruths"], outputs["detections"])
    if len(state["pictures"]) < _PICTURES and "images" in outputs:
      state["pictures"] += self._pictures(outputs)
    return state

  def reduce_aggregated_logs(self, aggregated_logs: Logs, global_step: Any = None) -> Logs:
    """COCO's 12 box figures, and pictures under `image/detections` where they were asked for."""
    del global_step
    merge_workers(evaluator := aggregated_logs["evaluator"])
    logs: Logs = evaluator.evaluate()
    if aggregated_logs["pictures"]:
      logs["image/detections"] = np.stack(aggregated_logs["pictures"][:_PICTURES])
    return logs

  def _names(self) -> list[str]:
    return [category.name for category in self.categories(self.task_config.validation_data)]

  def _evaluator(self) -> CocoBoxEvaluator:
    return CocoBoxEvaluator(self._names())

  def _pictures(self, outputs: Logs) -> list[np.ndarray]:
    """The input images with what was detected on them, [h, w, 3] uint8 each."""
    names = self._names()
    pictures = []
    for row, image in enumerate(outputs["images"][:_PICTURES]):
      detections = {key: value[row] for key, value in outputs["detections"].items()}
      detections["boxes"] = outputs["boxes_on_input"][row]
      boxes = detections_to_boxes(detections, names, _PICTURE_SCORE)
      pictures.append(np.asarray(draw_boxes(image, boxes)))
    return pictures

  def _with_hidden_objects(self, images: tf.Tensor, model: Yolo, step: tf.Tensor) -> tf.Tensor:
    """Images in 0..1; in half of the steps, such that objects are hidden from the network."""
    config = self.task_config.adversarial
    images = tf.cast(images, model.compute_dtype) / 255
    chosen = tf.random.stateless_uniform([], tf.stack([step, 0])) < 0.5
    rate = config.rate * tf.cast(step, tf.float32) / config.steps
    return tf.cond(
      chosen & (step > config.start),
      lambda: hide(images, lambda x: model(x, training=False)["raw"], model.coordinates, rate),
      lambda: images,
    )

  def _decayed(self, gradients: list[tf.Tensor], model: Yolo) -> list[tf.Tensor]:
    """Gradients, with weight decay on convolution kernels."""
    kernels = roles.kernels(model)
    return [
      gradient + self.task_config.weight_decay * tf.cast(variable, gradient.dtype)
      if variable.ref() in kernels
      else gradient
      for gradient, variable in zip(gradients, model.trainable_variables, strict=True)
    ]

  def _log(
    self, losses: dict[str, tf.Tensor], metrics: list[tf_keras.metrics.Metric] | None
  ) -> Logs:
    for metric in metrics or []:
      metric.update_state(losses[metric.name])
    return {self.loss: losses["total_loss"]} | {term: losses[term] for term in LOSS_TERMS}


def _assign_biases(optimizer: tf_keras.optimizers.Optimizer, model: Yolo) -> None:
  inner = innermost(optimizer)
  if isinstance(inner, SGD):
    inner.assign_biases(roles.biases(model))


def _to_host(outputs: Any) -> Any:
  """Tuples of the replicas' tensors → arrays of all their rows."""
  if isinstance(outputs, Mapping):
    return {key: _to_host(value) for key, value in outputs.items()}
  return np.concatenate([np.asarray(part) for part in outputs])
