"""Backbones of detectors as TFMG's image classification takes them: Darknet53, CSPDarknet53.

In front of the mean over pixels and the dense layer, which TFMG adds, they are what Darknet's
`darknet53.cfg` and `csdarknet53.cfg` train on ImageNet; layers are named as in the detectors, which
can start from such a backbone.
"""

import dataclasses
import functools
from typing import Any

import tf_keras

from official.modeling import hyperparams
from official.vision.configs import backbones
from official.vision.modeling.backbones import factory
from projects.yolo.modeling import roles
from projects.yolo.modeling.builder import Style
from projects.yolo.modeling.networks import build_backbone
from projects.yolo.modeling.variants import get_variant


@dataclasses.dataclass
class OfVariant(hyperparams.Config):
  """A backbone.

  Attributes:
    variant: the detector whose it is: `v3` has Darknet53, `v4` CSPDarknet53.
  """

  variant: str = "v3"


@dataclasses.dataclass
class Backbone(backbones.Backbone):
  """TFMG's choice of backbones, and ours as `yolo`."""

  type: str | None = "yolo"
  yolo: OfVariant = dataclasses.field(default_factory=OfVariant)


@factory.register_backbone_builder("yolo")
def build(
  input_specs: tf_keras.layers.InputSpec,
  backbone_config: Backbone,
  norm_activation_config: Any,
  l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> tf_keras.Model:
  """As TFMG's backbone builders: image [b, h, w, 3] → {"c3", "c4", …}.

  Args:
    input_specs: of the image.
    backbone_config: whose `yolo` counts.
    norm_activation_config: of BatchNorm; the activation is the variant's.
    l2_regularizer: of convolution kernels.
  """
  variant = get_variant(backbone_config.get().variant)
  norm = norm_activation_config
  style = Style(variant.activation, norm.norm_momentum, norm.norm_epsilon)
  backbone = build_backbone(variant, style, input_specs.shape[1:])
  if l2_regularizer:
    for kernel in roles.convolution_kernels(backbone):
      backbone.add_loss(functools.partial(l2_regularizer, kernel))
  return backbone
