"""Backbones of detectors as classifiers: Darknet53, CSPDarknet53.

What Darknet's `darknet53.cfg` and `csdarknet53.cfg` train on ImageNet: the backbone, the mean over
pixels, and a dense layer. Layers are named as in the detectors, which can start from such a
backbone.
"""

import functools
from collections.abc import Sequence

import tf_keras

from projects.yolo.modeling import roles
from projects.yolo.modeling.builder import Style, network_input
from projects.yolo.modeling.networks import build_backbone
from projects.yolo.modeling.variants import get_variant


def build_classifier(
  variant: str,
  num_classes: int,
  image_shape: Sequence[int],
  momentum: float,
  epsilon: float,
  decay: float,
) -> tf_keras.Model:
  """Images [b, *image_shape] in 0..1 → logits [b, num_classes]; `backbone` is an attribute.

  Args:
    variant: the detector whose backbone it is: `v3` has Darknet53, `v4` CSPDarknet53.
    num_classes: of the data.
    image_shape: height, width, 3.
    momentum: of BatchNorm.
    epsilon: of BatchNorm.
    decay: half of this times the squares of all kernels is among the model's losses.
  """
  table = get_variant(variant)
  backbone = build_backbone(table, Style(table.activation, momentum, epsilon), image_shape)
  image = network_input(image_shape, "image")
  features = backbone(image)[f"c{table.levels[-1]}"]
  dense = tf_keras.layers.Dense(num_classes, name="logits")
  logits = dense(tf_keras.layers.GlobalAveragePooling2D(name="mean")(features))
  model = tf_keras.Model(image, logits, name="classifier")
  model.backbone = backbone
  model.checkpoint_items = {"backbone": backbone}
  square = tf_keras.regularizers.l2(decay / 2)
  for kernel in (*roles.convolution_kernels(backbone), dense.kernel):
    model.add_loss(functools.partial(square, kernel))
  return model
