"""From configuration to network and loss."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from official.cli.errors import UserError
from projects.yolo.configs.yolo import Model, YoloTask
from projects.yolo.losses.darknet_loss import RULES, darknet_loss
from projects.yolo.losses.v7_loss import scale_gains, v7_aux_ota_loss, v7_loss, v7_ota_loss
from projects.yolo.losses.yolo_loss import LossWeights, yolo_loss
from projects.yolo.modeling.decoding import DECODERS, Coordinates
from projects.yolo.modeling.variant import Anchors, Variant
from projects.yolo.modeling.variants import get_variant
from projects.yolo.modeling.yolo import DetectionLimits, Yolo

Tensors = dict[str, tf.Tensor]
Labels = Mapping[str, tf.Tensor]
Loss = Callable[..., Tensors]

_SCALE_XY = {"exponential": 1.0, "scaled": 2.0}  # Of a form that is not the variant's own.


def build_yolo(config: Model) -> Yolo:
  """The network that `config` describes, with its variables made.

  Raises:
    UserError: unknown variant or coordinates, an input size that no grid fits, or anchors that do
      not divide among the levels.
  """
  stride = 2 ** get_variant(config.variant).levels[-1]
  if config.input_size < stride or config.input_size % stride:
    raise UserError(f"task.model.input_size {config.input_size}: use a multiple of {stride}")
  model = Yolo(
    variant=config.variant,
    num_classes=config.num_classes,
    input_size=config.input_size,
    coordinates=build_coordinates(config),
    limits=DetectionLimits(**config.detection.as_dict()),
    momentum=config.norm_momentum,
    epsilon=config.norm_epsilon,
    stem_on_quads=config.stem_on_quads,
  )
  model.build(tf.TensorShape([None, config.input_size, config.input_size, 3]))
  return model


def build_coordinates(config: Model) -> Coordinates:
  """How the network's outputs become boxes: the variant's own way, or as the configuration says."""
  variant = get_variant(config.variant)
  form = config.coordinates or variant.coordinates
  if form not in DECODERS:
    raise UserError(f"task.model.coordinates '{form}': use one of {', '.join(DECODERS)}")
  other = dict.fromkeys(variant.levels, _SCALE_XY[form])
  scale_xy = variant.scale_xy if form == variant.coordinates else other
  anchors = _split_anchors(config.anchors, variant) if config.anchors else variant.anchors
  return Coordinates(form, scale_xy, anchors)


def build_loss(config: YoloTask) -> Callable[[Mapping[str, Any], Labels], Tensors]:
  """(the network's outputs, labels) → the loss that `config` names and its terms.

  Raises:
    UserError: there is no such loss, the network has no auxiliary heads for it, or its coordinates
      are others.
  """
  gains = config.losses.as_dict()
  kind, exact = gains.pop("kind"), gains.pop("exact_gradient")
  if kind not in LOSSES and kind not in RULES:
    raise UserError(f"task.losses.kind '{kind}': use one of {', '.join([*LOSSES, *RULES])}")
  variant, coordinates = get_variant(config.model.variant), build_coordinates(config.model)
  if kind == _WITH_AUXILIARY and not variant.auxiliary:
    raise UserError(
      f"task.losses.kind '{kind}': {config.model.variant} has no auxiliary heads; use v7_ota"
    )
  weights = LossWeights(**gains)
  if kind in RULES:
    return _darknet(kind, exact, coordinates, weights)
  if kind != "scaled":
    size = config.model.input_size, config.model.num_classes
    weights = scale_gains(weights, len(variant.levels), size[1], size[0])
  loss = LOSSES[kind]
  return lambda outputs, labels: loss(outputs, labels, coordinates, weights)


def _darknet(
  kind: str, exact: bool, coordinates: Coordinates, weights: LossWeights
) -> Callable[[Mapping[str, Any], Labels], Tensors]:
  if coordinates.form != "exponential":
    raise UserError(f"task.losses.kind '{kind}' is of exponential coordinates; use scaled")
  rule = dataclasses.replace(RULES[kind], exact=exact)
  return lambda outputs, labels: darknet_loss(outputs["raw"], labels, coordinates, weights, rule)


def _lead_alone(loss: Loss) -> Loss:
  return lambda outputs, *rest: loss(outputs["raw"], *rest)


def _with_auxiliary(outputs: Mapping[str, Any], *rest: Any) -> Tensors:
  """Evaluation has no auxiliary outputs, and is measured by the lead heads' loss."""
  if "auxiliary" not in outputs:
    return v7_ota_loss(outputs["raw"], *rest)
  return v7_aux_ota_loss(outputs["raw"], outputs["auxiliary"], *rest)


_WITH_AUXILIARY = "v7_aux_ota"
LOSSES: dict[str, Loss] = {
  "scaled": _lead_alone(yolo_loss),
  "v7": _lead_alone(v7_loss),
  "v7_ota": _lead_alone(v7_ota_loss),
  _WITH_AUXILIARY: _with_auxiliary,
}


def _split_anchors(flat: list[float], variant: Variant) -> dict[int, Anchors]:
  """Width, height, width, … → pairs by level, finest first."""
  share, rest = divmod(len(flat), 2 * len(variant.levels))
  if rest:
    raise UserError(
      f"task.model.anchors has {len(flat)} numbers: give width and height of as many anchors to "
      f"each of the {len(variant.levels)} levels"
    )
  pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
  return {
    level: pairs[index * share : (index + 1) * share] for index, level in enumerate(variant.levels)
  }
