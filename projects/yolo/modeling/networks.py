"""Backbone, decoder and head of a variant, each a Keras model as TFMG's factories return."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.activations import Activation
from official.layers.convolution import Conv2D, ConvNorm
from projects.yolo.modeling.builder import Style, apply_rows, network_input
from projects.yolo.modeling.implicit import ImplicitScale, ImplicitShift
from projects.yolo.modeling.layers import SplitAnchors
from projects.yolo.modeling.rep_conv import RepConvNorm
from projects.yolo.modeling.variant import Variant

Features = dict[str, tf.Tensor]

AUXILIARY = "aux"  # Before the level, of outputs that only training has.


def _fused(
  filters: int, activation: str, name: str, **norm: float
) -> Callable[[tf.Tensor], tf.Tensor]:
  """What is left of a `RepConvNorm` in deployment: its `norm` is folded into the kernel."""
  del norm
  conv = Conv2D(filters, 3, name=name)
  activate = Activation(activation, name=f"{name}/activation")
  return lambda x: activate(conv(x))


# What stands in front of an output, by the variant's `head_kind`.
HEADS: dict[str, Callable[..., Callable[[tf.Tensor], tf.Tensor]]] = {
  "conv": ConvNorm,
  "rep": RepConvNorm,
  "fused": _fused,
}


def build_backbone(
  variant: Variant, style: Style, image_shape: Sequence[int | None]
) -> tf_keras.Model:
  """Image [b, *image_shape] → {"c3", "c4", …} (the variant's levels), stride 2ⁿ at cn."""
  image = network_input(image_shape, "image")
  tensors = apply_rows(variant.backbone, {"image": image}, style, last="image")
  features = {f"c{level}": tensors[f"c{level}"] for level in variant.levels}
  return _with_specs(tf_keras.Model(image, features, name="backbone"))


def build_decoder(variant: Variant, style: Style, backbone: tf_keras.Model) -> tf_keras.Model:
  """Backbone features → {"p3", "p4", …} (the variant's levels), {"a3", …} for auxiliary heads."""
  inputs = _inputs_like(backbone)
  tensors = apply_rows(variant.decoder, inputs, style, last=f"c{variant.levels[-1]}")
  features = {f"p{level}": tensors[f"p{level}"] for level in variant.levels}
  features |= {f"a{level}": tensors[head.source] for level, head in variant.auxiliary.items()}
  return _with_specs(tf_keras.Model(inputs, features, name="decoder"))


def build_head(
  variant: Variant,
  style: Style,
  decoder: tf_keras.Model,
  num_anchors: dict[int, int],
  num_classes: int,
) -> tf_keras.Model:
  """Pyramid → {"3": [b, h, w, anchors, 5 + classes], …}, raw; of auxiliary heads, "aux3", ….

  The last axis is x, y, w, h, objectness, classes; no activation is applied. Outputs are at least
  float32, whatever the compute dtype.
  """
  inputs = _inputs_like(decoder)
  outputs = {}
  for level in variant.levels:
    name, anchors = f"p{level}", num_anchors[level]
    x = HEADS[variant.head_kind](variant.head[level], **vars(style), name=f"{name}/conv")(
      inputs[name]
    )
    outputs[str(level)] = _output(x, name, anchors, num_classes, variant.implicit)
  for level, head in variant.auxiliary.items():
    name, anchors = f"a{level}", num_anchors[level]
    x = ConvNorm(head.filters, **vars(style), name=f"{name}/conv")(inputs[name])
    outputs[f"{AUXILIARY}{level}"] = _output(x, name, anchors, num_classes, implicit=False)
  return tf_keras.Model(inputs, outputs, name="head")


def _output(x: tf.Tensor, name: str, anchors: int, num_classes: int, implicit: bool) -> tf.Tensor:
  """[b, h, w, c] → [b, h, w, anchors, 5 + classes]."""
  cells = math.prod(x.shape[1:3])
  if implicit:
    x = ImplicitShift(name=f"{name}/shift")(x)
  x = Conv2D(
    anchors * (5 + num_classes),
    kernel_size=1,
    bias_initializer=PriorBias(anchors, num_classes, cells),
    name=f"{name}/output",
  )(x)
  if implicit:
    x = ImplicitScale(name=f"{name}/scale")(x)
  return SplitAnchors(anchors, name=f"{name}/split")(x)


@tf_keras.utils.register_keras_serializable(package="Transplant")
class PriorBias(tf_keras.initializers.Initializer):
  """Starts outputs at the share of anchors that hold an object, so that the first steps are calm.

  About 8 objects an image, and classes at 0.6 / (classes − 0.99), as ScaledYOLOv4 starts (after
  Lin et al. 2017, sec. 3.3). Deviation: the original counts the cells of a 640² image, whatever the
  input; here they are the grid's own.

  Args:
    anchors: of each cell.
    num_classes: classes, without background.
    cells: of the level's grid.
  """

  def __init__(self, anchors: int, num_classes: int, cells: int) -> None:
    self._config = {"anchors": anchors, "num_classes": num_classes, "cells": cells}

  def __call__(self, shape: tf.TensorShape, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
    classes, cells = self._config["num_classes"], self._config["cells"]
    objectness = math.log(min(8 / cells, 1))
    each = [0.0] * 4 + [objectness] + [math.log(0.6 / (classes - 0.99))] * classes
    return tf.reshape(tf.constant(each * self._config["anchors"], dtype), shape)

  def get_config(self) -> dict[str, int]:
    return self._config


def _inputs_like(model: tf_keras.Model) -> Features:
  return {name: network_input(spec[1:], name) for name, spec in model.output_specs.items()}


def _with_specs(model: tf_keras.Model) -> tf_keras.Model:
  """TFMG's convention: `output_specs` tells the next part which shapes to expect."""
  model.output_specs = {name: tensor.shape for name, tensor in model.output.items()}
  return model
