"""Losses with other weights, means, formulas, and gradients that stop on their way."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from benchmarks.parity.blocks import losses as right
from benchmarks.parity.cases import training
from benchmarks.parity.cases.all import BLOCKS
from benchmarks.parity.defects.planting import Plant, at, on_side, setting, wrong
from official.parity.case import Side
from projects.maskformer.modeling.backbones.swin_block import WindowAttention
from projects.maskformer.modeling.pixel_decoders.fpn import PyramidStep, resize_nearest
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder

Terms = dict[str, tf.Tensor]
Losses = Callable[[Any, Mapping[str, tf.Tensor]], Terms]


@dataclasses.dataclass(frozen=True)
class Formulas:
  """What `maskformer_losses` is made of, to get one of them wrong.

  Attributes:
    of_class: (logits, classes) → loss.
    of_mask: (logits, masks) → loss.
    of_dice: (logits, masks) → loss.
    weights: of the terms.
    enlarge: (masks, height, width) → masks.
    summed: terms that make the total.
  """

  of_class: Callable[..., tf.Tensor] = right.class_loss
  of_mask: Callable[..., tf.Tensor] = right.focal_loss
  of_dice: Callable[..., tf.Tensor] = right.dice_loss
  weights: Mapping[str, float] = dataclasses.field(default_factory=lambda: right.WEIGHTS)
  enlarge: Callable[..., tf.Tensor] = right.resize_bilinear
  summed: tuple[str, ...] = ("class", "mask", "dice")

  def __call__(self, outputs: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]) -> Terms:
    logits = outputs["class_logits"]
    classes = right.matched_classes(
      labels["classes"], labels["queries"], logits.shape[1], logits.shape[2] - 1
    )
    height, width = labels["masks"].shape[2:]
    picked = tf.gather(outputs["mask_logits"], labels["queries"], batch_dims=1)
    picked = self.enlarge(tf.reshape(picked, [-1, *picked.shape[2:]]), height, width)
    picked = tf.reshape(picked, [-1, height * width])
    masks = tf.reshape(labels["masks"], [-1, height * width])
    terms = {
      "class": self.weights["class"] * self.of_class(logits, classes),
      "mask": self.weights["mask"] * self.of_mask(picked, masks),
      "dice": self.weights["dice"] * self.of_dice(picked, masks),
    }
    return terms | {"total": tf.add_n([terms[name] for name in self.summed])}


def _class_loss(
  logits: tf.Tensor,
  classes: tf.Tensor,
  no_object: int = -1,
  weight: float = right.NO_OBJECT_WEIGHT,
  by_weight: bool = True,
) -> tf.Tensor:
  entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
  light = classes == no_object % logits.shape[-1]
  weights = tf.where(light, tf.constant(weight, logits.dtype), 1)
  if by_weight:
    return tf.reduce_sum(weights * entropy) / tf.reduce_sum(weights)
  return tf.reduce_mean(weights * entropy)


def _class_mean_of_queries(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
  return _class_loss(logits, classes, by_weight=False)


def _class_tiny_no_object(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
  return _class_loss(logits, classes, weight=0.001)


def _class_first_is_no_object(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
  return _class_loss(logits, classes, no_object=0)


def _focal(
  logits: tf.Tensor, masks: tf.Tensor, alpha: float = 0.25, detached: bool = False
) -> tf.Tensor:
  """[n, pixels] of losses."""
  entropy = tf.nn.sigmoid_cross_entropy_with_logits(masks, logits)
  shares = tf.sigmoid(logits)
  missed = shares * (1 - masks) + (1 - shares) * masks
  missed = tf.stop_gradient(missed) if detached else missed
  return (alpha * masks + (1 - alpha) * (1 - masks)) * missed**2 * entropy


def _focal_sum_of_pixels(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  return tf.reduce_sum(_focal(logits, masks)) / logits.shape[0]


def _focal_other_alpha(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  return tf.reduce_mean(_focal(logits, masks, alpha=0.75))


def _focal_detached(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  return tf.reduce_mean(_focal(logits, masks, detached=True))


def _plain_entropy(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(masks, logits))


def _dice(
  logits: tf.Tensor, masks: tf.Tensor, smooth: float = 1.0, detached: bool = False
) -> tf.Tensor:
  """[n] of losses."""
  shares = tf.sigmoid(logits)
  overlap = 2 * tf.reduce_sum(shares * masks, axis=-1)
  total = tf.reduce_sum(shares, axis=-1) + tf.reduce_sum(masks, axis=-1)
  total = tf.stop_gradient(total) if detached else total
  return 1 - (overlap + smooth) / (total + smooth)


def _dice_sum_of_objects(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  return tf.reduce_sum(_dice(logits, masks))


def _dice_not_smooth(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  return tf.reduce_mean(_dice(logits, masks, smooth=1e-6))


def _dice_detached(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  return tf.reduce_mean(_dice(logits, masks, detached=True))


def _enlarge_to_corners(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """Corners' centres stay corners: PyTorch's `align_corners=True`."""
  matrices = []
  for source, target in ((x.shape[1], height), (x.shape[2], width)):
    place = tf.range(target, dtype=x.dtype) * (source - 1) / (target - 1)
    distance = tf.abs(place[:, None] - tf.range(source, dtype=x.dtype)[None])
    matrices.append(tf.maximum(1 - distance, 0))
  return tf.einsum("yh,nhw,xw->nyx", matrices[0], x, matrices[1])


class DetachedMemory(TransformerDecoder):
  """The decoder's gradient does not reach the backbone."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    return super().call(tf.stop_gradient(inputs), training)


class DetachedLateral(PyramidStep):
  """Only the coarser feature has a gradient."""

  def call(self, coarse: tf.Tensor, lateral: tf.Tensor) -> tf.Tensor:
    lateral = tf.stop_gradient(self.lateral(lateral))
    return self.smooth(resize_nearest(coarse, *lateral.shape[1:3]) + lateral)


class DetachedBias(WindowAttention):
  """The table of relative positions is read without its gradient."""

  def call(self, inputs: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    table = self.relative_bias
    self.relative_bias = tf.stop_gradient(table)
    try:
      return super().call(inputs, bias)
    finally:
      self.relative_bias = table


def _with(losses: Losses) -> Callable[[str], Plant]:
  """The whole MaskFormer with another loss, also in training."""

  def change(side: Side) -> Side:
    call = BLOCKS["maskformer"].call
    trainer = lambda: training.ours(side.network, losses, call)  # noqa: E731
    return dataclasses.replace(side, losses=losses, trainer=trainer)

  return lambda term: on_side(change)


def _loss(name: str, cause: str, term: str, formulas: Formulas, stage: str = "loss") -> Any:
  return at(name, cause, _with(formulas), ("maskformer", term), stage=stage)


_DETECTRON = dict(right.WEIGHTS, mask=5.0, dice=5.0)

DEFECTS = (
  *_loss(
    "mask loss summed over pixels", "loss_reduction", "mask", Formulas(of_mask=_focal_sum_of_pixels)
  ),
  *_loss(
    "dice summed over objects", "loss_reduction", "dice", Formulas(of_dice=_dice_sum_of_objects)
  ),
  *_loss(
    "class loss a mean over queries",
    "loss_reduction",
    "class",
    Formulas(of_class=_class_mean_of_queries),
  ),
  *_loss("Mask2Former's weights", "loss_weight", "mask", Formulas(weights=_DETECTRON)),
  *_loss("dice weighs 2", "loss_weight", "dice", Formulas(weights=right.WEIGHTS | {"dice": 2.0})),
  *_loss("dice not in the total", "loss_weight", "total", Formulas(summed=("class", "mask"))),
  *_loss(
    "no object weighs 0.001", "no_object_weight", "class", Formulas(of_class=_class_tiny_no_object)
  ),
  *_loss(
    "no object is the first class",
    "no_object_weight",
    "class",
    Formulas(of_class=_class_first_is_no_object),
  ),
  *_loss("dice without its ones", "loss_form", "dice", Formulas(of_dice=_dice_not_smooth)),
  *_loss(
    "focal loss's alpha turned round", "loss_form", "mask", Formulas(of_mask=_focal_other_alpha)
  ),
  *_loss("cross-entropy, not focal", "loss_form", "mask", Formulas(of_mask=_plain_entropy)),
  *_loss(
    "masks enlarged with aligned corners",
    "resize_coordinates",
    "mask",
    Formulas(enlarge=_enlarge_to_corners),
  ),
  *_loss(
    "focal factor without gradient",
    "target_detached",
    "mask",
    Formulas(of_mask=_focal_detached),
    "gradients",
  ),
  *_loss(
    "dice's denominator without gradient",
    "target_detached",
    "dice",
    Formulas(of_dice=_dice_detached),
    "gradients",
  ),
  *at(
    "features without gradient",
    "target_detached",
    wrong(DetachedMemory),
    ("maskformer", "decoder"),
    stage="gradients",
  ),
  *at(
    "lateral features without gradient",
    "target_detached",
    wrong(DetachedLateral),
    ("pixel_decoder", "step1"),
    ("maskformer", "pixel_decoder/step0"),
    stage="gradients",
  ),
  *at(
    "relative positions without gradient",
    "target_detached",
    wrong(DetachedBias),
    ("swin_block", "attention"),
    ("swin", "stage0/block0/attention"),
    stage="gradients",
  ),
  *at(
    "weights frozen",
    "parameter_frozen",
    setting(trainable=False),
    ("maskformer", "backbone/stem/conv/conv"),
    ("transformer_decoder", "layer1/mlp/expand"),
    stage="gradients",
  ),
)
