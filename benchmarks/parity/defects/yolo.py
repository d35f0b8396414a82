"""Mistakes in our YOLO networks, their loss, their training and both of their ends."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
import tf_keras

from benchmarks.parity.defects.convolution import FlippedConv2D, SameConv2D, UnbiasedConv2D
from benchmarks.parity.defects.normalization import BiasedBatchNorm
from benchmarks.parity.defects.planting import (
  Plant,
  at,
  attributes,
  on_side,
  setting,
  transform,
  wrong,
)
from official.layers.activations import mish
from official.layers.pooling import MaxPool
from official.layers.upsampling import Upsample
from official.parity.case import Arrays, ParityCase, Side
from projects.yolo.losses import yolo_loss
from projects.yolo.modeling.layers import SplitAnchors
from projects.yolo.ops.boxes import iou
from projects.yolo.reference import candidate as sides
from projects.yolo.reference.cases import INPUT_SIZE, SCHEDULE
from projects.yolo.tasks.yolo import YoloTask

_V3, _V4 = "yolo/v3-tiny", "yolo/v4-tiny"
_EXPERIMENTS = {_V3: "yolo_v3_tiny_coco", _V4: "yolo_v4_tiny_coco"}


class ZeroPaddedPool(MaxPool):
  """Zeros behind the image, where −∞ belongs, as PyTorch ports of Darknet pad it."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    padded = tf.pad(inputs, [[0, 0], [0, 1], [0, 1], [0, 0]])
    return tf.nn.max_pool2d(padded, self.size, self.strides, "VALID")


class AveragePool(MaxPool):
  """Averages instead of maxima."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.avg_pool2d(inputs, self.size, self.strides, "SAME")


class ReversedConcatenate(tf_keras.layers.Concatenate):
  """The other input first."""

  def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
    return super().call(inputs[::-1])


class BilinearUpsample(Upsample):
  """Enlarged with interpolation."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    size = [side * self.size for side in inputs.shape[1:3]]
    return tf.cast(tf.image.resize(inputs, size), inputs.dtype)


class AnchorsLast(SplitAnchors):
  """Each of an anchor's outputs stands beside the same one of the other anchors."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    batch, height, width, channels = inputs.shape
    apart = [batch, height, width, channels // self.anchors, self.anchors]
    return tf.transpose(tf.reshape(inputs, apart), [0, 1, 2, 4, 3])


def _level_loss(
  raw: tf.Tensor,
  labels: Mapping[str, tf.Tensor],
  coordinates: Any,
  level: int,
  weights: yolo_loss.LossWeights,
  detached: bool = True,
  summed: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """`yolo_loss._level_loss`, with two of its steps to get wrong."""
  _, height, width, count, channels = raw.shape
  size = tf.constant([width, height, width, height], raw.dtype)
  places = yolo_loss.assign(
    yolo_loss.yxyx_to_xywh(tf.cast(labels["boxes"], raw.dtype)) * size,
    labels["classes"],
    labels["valid"],
    tf.constant(coordinates.anchors[level], raw.dtype) / 2**level,
    height,
    width,
    ratio_threshold=weights.ratio_threshold,
    neighbours=coordinates.scale_xy >= 2,
  )
  flat = tf.reshape(raw, [-1, height * width * count, channels])
  picked = tf.gather(flat, places.index, batch_dims=1)
  overlap = yolo_loss._overlap(picked, places, coordinates)
  mask = tf.cast(places.mask, raw.dtype)
  responsible = tf.constant(1, raw.dtype) if summed else tf.reduce_sum(mask)
  target = tf.stop_gradient(overlap) if detached else overlap
  target = yolo_loss.at_places(places.index, places.mask, target, flat[..., 4])
  one_hot = tf.one_hot(places.classes, channels - 5, dtype=raw.dtype)
  class_loss = tf.reduce_mean(yolo_loss.cross_entropy(one_hot, picked[..., 5:]), axis=-1)
  return (
    tf.reduce_sum((1 - overlap) * mask) / responsible,
    tf.reduce_mean(yolo_loss.cross_entropy(target, flat[..., 4])),
    tf.reduce_sum(class_loss * mask) / tf.reduce_sum(mask),
  )


def _level_loss_attached(*arguments: Any) -> Any:
  return _level_loss(*arguments, detached=False)


def _level_loss_summed(*arguments: Any) -> Any:
  return _level_loss(*arguments, summed=True)


class DecaysEverything(YoloTask):
  """Weight decay on BatchNorm and biases too."""

  def _decayed(self, gradients: list[tf.Tensor], model: tf_keras.Model) -> list[tf.Tensor]:
    pairs = zip(gradients, model.trainable_variables, strict=True)
    return [g + self.task_config.weight_decay * tf.cast(v, g.dtype) for g, v in pairs]


class DecaysNothing(YoloTask):
  """Weight decay is configured and forgotten."""

  def _decayed(self, gradients: list[tf.Tensor], model: tf_keras.Model) -> list[tf.Tensor]:
    return gradients


class MeanGradient(YoloTask):
  """The gradient of the loss as it is, not times the images of the batch."""

  def train_step(
    self,
    inputs: tuple[tf.Tensor, Any],
    model: tf_keras.Model,
    optimizer: tf_keras.optimizers.Optimizer,
    metrics: Any = None,
  ) -> dict[str, tf.Tensor]:
    images, labels = inputs
    with tf.GradientTape() as tape:
      losses = self.build_losses(labels, model(images, training=True))
    variables = model.trainable_variables
    gradients = self._decayed(tape.gradient(losses["total_loss"], variables), model)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return self._log(losses, metrics)


def _losses(replaced: Mapping[str, Any]) -> Callable[[str], Plant]:
  """Other parts of the loss, by their names in `yolo_loss`."""

  def change(side: Side) -> Side:
    def losses(outputs: Any, batch: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
      with mock.patch.multiple(yolo_loss, **replaced):
        return side.losses(outputs, batch)

    return dataclasses.replace(side, losses=losses)

  return lambda term: on_side(change)


def _trained(
  task: type[YoloTask] = YoloTask, change: Callable[[Any], None] = lambda config: None
) -> Callable[[str], Plant]:
  """Another task, or another optimizer, under settings that say nothing of it.

  Args:
    task: trains.
    change: of the optimizer's configuration.
  """

  def plant(case: ParityCase) -> ParityCase:
    def candidate(precision: str) -> Side:
      ours = sides.Candidate(_EXPERIMENTS[case.name], SCHEDULE, INPUT_SIZE, precision)
      side = ours.side()
      change(ours._params.trainer.optimizer_config)
      ours._task = task(ours._params.task)
      return dataclasses.replace(side, trainer=ours._trainer)

    return dataclasses.replace(case, candidate=candidate)

  return lambda layer: plant


def _sgd(**values: Any) -> Callable[[Any], None]:
  return lambda config: config.optimizer.get().override(values)


def _keras_sgd(config: Any) -> None:
  own = config.optimizer.get()
  config.override({"optimizer": {"type": "sgd"}})
  config.optimizer.get().override({"momentum": own.momentum, "nesterov": own.nesterov})


def _preprocessed(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[str], Plant]:
  """Another image, made of the right one."""

  def planted(side: Side) -> Side:
    right = side.preprocess

    def preprocess(image: np.ndarray) -> Arrays:
      arrays = dict(right(image))
      return arrays | {"image": change(arrays["image"])}

    return dataclasses.replace(side, preprocess=preprocess)

  return lambda stage: on_side(planted)


DEFECTS = (
  *at(
    "leaky slope of 0.2",
    "activation_slope",
    setting(activation=tf.nn.leaky_relu),
    (_V4, "backbone/c2/conv1"),
    (_V3, "head/p5/conv"),
  ),
  *at(
    "mish instead of leaky",
    "activation_other",
    setting(activation=mish),
    (_V4, "backbone/stem"),
    (_V3, "decoder/p5"),
  ),
  *at(
    "stride-1 pooling padded with zeros",
    "pool_padding",
    wrong(ZeroPaddedPool),
    (_V3, "backbone/c5/pool"),
  ),
  *at(
    "average pooling",
    "pool_kind",
    wrong(AveragePool),
    (_V3, "backbone/stem/pool"),
    (_V4, "backbone/c4/pool"),
  ),
  *at(
    "first half of the channels",
    "channels_permuted",
    setting(index=0),
    (_V4, "backbone/c2/half"),
    (_V4, "backbone/c4/csp/half"),
  ),
  *at(
    "concatenated the other way",
    "concat_order",
    wrong(ReversedConcatenate),
    (_V3, "decoder/p4"),
    (_V4, "backbone/c2/pair"),
  ),
  *at(
    "bilinear instead of nearest",
    "resize_method",
    wrong(BilinearUpsample),
    (_V3, "decoder/p4/up"),
    (_V4, "decoder/p4/up"),
  ),
  *at(
    "anchors last",
    "channels_permuted",
    wrong(AnchorsLast),
    (_V4, "head/p4/split"),
    (_V3, "head/p5/split"),
  ),
  *at(
    "BatchNorm epsilon 1e-4",
    "normalization_epsilon",
    setting(epsilon=1e-4),
    (_V3, "backbone/stem/norm"),
    (_V4, "head/p5/conv/norm"),
  ),
  *at(
    "BatchNorm epsilon 1e-6",
    "normalization_epsilon",
    setting(epsilon=1e-6),
    (_V4, "backbone/c3/in/norm"),
    (_V3, "decoder/p4/top/norm"),
  ),
  *at(
    "BatchNorm momentum 0.9",
    "normalization_momentum",
    setting(momentum=0.9),
    (_V3, "backbone/c4/norm"),
    (_V4, "decoder/p5/norm"),
  ),
  *at(
    "biased moving variance",
    "variance_bias",
    wrong(BiasedBatchNorm),
    (_V4, "backbone/c5/norm"),
    (_V3, "backbone/c1/norm"),
  ),
  *at(
    "SAME padding at stride 2",
    "padding",
    wrong(SameConv2D),
    (_V4, "backbone/stem/conv"),
    (_V4, "backbone/c2/down/conv"),
  ),
  *at(
    "kernel mirrored",
    "kernel_flipped",
    wrong(FlippedConv2D),
    (_V3, "backbone/c2/conv"),
    (_V4, "head/p4/conv/conv"),
  ),
  *at(
    "rows and columns of a kernel exchanged",
    "kernel_transposed",
    lambda layer: transform("layers.0.conv.weight", "o i h w -> w h i o"),
    (_V3, "backbone/stem/conv"),
    (_V4, "backbone/stem/conv"),
  ),
  *at(
    "weights of BGR images",
    "channels_reversed",
    lambda layer: transform("layers.0.conv.weight", "conv|order:2,1,0@2"),
    (_V3, "backbone/stem/conv"),
    (_V4, "backbone/stem/conv"),
  ),
  *at(
    "bias of an output not added",
    "bias_missing",
    wrong(UnbiasedConv2D),
    (_V3, "head/p4/output"),
    (_V4, "head/p5/output"),
  ),
  *at(
    "IoU instead of CIoU",
    "loss_form",
    _losses({"ciou": iou}),
    (_V3, "box_loss"),
    (_V4, "box_loss"),
    stage="loss",
  ),
  *at(
    "box loss summed over places",
    "loss_reduction",
    _losses({"_level_loss": _level_loss_summed}),
    (_V3, "box_loss"),
    (_V4, "box_loss"),
    stage="loss",
  ),
  *at(
    "levels weigh alike",
    "loss_weight",
    _losses({"LEVEL_BALANCE": {2: (1.0, 1.0)}}),
    (_V3, "objectness_loss"),
    (_V4, "objectness_loss"),
    stage="loss",
  ),
  *at(
    "objectness target has a gradient",
    "target_detached",
    _losses({"_level_loss": _level_loss_attached}),
    (_V3, "objectness_loss"),
    (_V4, "objectness_loss"),
    stage="gradients",
  ),
  *at(
    "weights frozen",
    "parameter_frozen",
    lambda layer: attributes(layer, trainable=False),
    (_V3, "backbone/c5/conv"),
    (_V4, "head/p4/output"),
    stage="gradients",
  ),
  *at(
    "rate inside the momentum",
    "momentum",
    _trained(change=_keras_sgd),
    (_V3, "optimizer"),
    (_V4, "optimizer"),
    stage="optimizer",
  ),
  *at(
    "momentum of 0.9",
    "momentum",
    _trained(change=_sgd(momentum=0.9)),
    (_V3, "optimizer"),
    (_V4, "optimizer"),
    stage="trajectory",
  ),
  *at(
    "plain momentum, not Nesterov's",
    "momentum",
    _trained(change=_sgd(nesterov=False)),
    (_V3, "optimizer"),
    (_V4, "optimizer"),
    stage="trajectory",
  ),
  *at(
    "norms and biases decay",
    "decay_exclusion",
    _trained(DecaysEverything),
    (_V4, "optimizer"),
    stage="optimizer",
  ),
  *at(
    "nothing decays", "decay_amount", _trained(DecaysNothing), (_V3, "optimizer"), stage="optimizer"
  ),
  *at(
    "gradient not times the images",
    "gradient_scale",
    _trained(MeanGradient),
    (_V3, "optimizer"),
    (_V4, "optimizer"),
    stage="optimizer",
  ),
  *at(
    "average decay of 0.2",
    "average_decay",
    _trained(change=lambda config: config.ema.override({"average_decay": 0.2})),
    (_V3, "average"),
    (_V4, "average"),
    stage="trajectory",
  ),
  *at(
    "warm-up a step too long",
    "learning_rate",
    _trained(change=lambda config: config.warmup.get().override({"warmup_steps": 5})),
    (_V3, "learning_rate"),
    (_V4, "learning_rate"),
    stage="optimizer",
  ),
  *at(
    "images in BGR",
    "channels_reversed",
    _preprocessed(lambda image: image[..., ::-1]),
    (_V3, "preprocess"),
    (_V4, "preprocess"),
    stage="preprocess",
  ),
  *at(
    "images from 0 to 255",
    "input_scaling",
    _preprocessed(lambda image: image * 255),
    (_V3, "preprocess"),
    (_V4, "preprocess"),
    stage="preprocess",
  ),
)
