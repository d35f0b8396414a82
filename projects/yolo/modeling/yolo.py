"""The whole network: backbone → decoder → head → (outside training) detections."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.layers.quads import to_quads
from projects.yolo.modeling.builder import Style
from projects.yolo.modeling.decoding import Coordinates, decode_level
from projects.yolo.modeling.networks import AUXILIARY, build_backbone, build_decoder, build_head
from projects.yolo.modeling.quads import on_quads
from projects.yolo.modeling.variants import get_variant
from projects.yolo.ops.boxes import xywh_to_yxyx
from projects.yolo.ops.nms import KINDS, Detections, detect


@dataclasses.dataclass(frozen=True)
class DetectionLimits:
  """Kind and thresholds of post-processing; see `projects.yolo.ops.nms.detect`.

  Raises:
    UserError: there is no such kind.
  """

  score_threshold: float = 0.001
  iou_threshold: float = 0.6
  candidates: int = 1000
  max_detections: int = 100
  kind: str = "class_wise"

  def __post_init__(self) -> None:
    if self.kind not in KINDS:
      raise UserError(f"task.model.detection.kind '{self.kind}': use one of {', '.join(KINDS)}")


def find_objects(
  raw: dict[str, tf.Tensor],
  coordinates: Mapping[int, Coordinates],
  limits: DetectionLimits,
  diou_exponent: float | None = None,
) -> Detections:
  """Boxes yxyx in pixels of the input, classes and scores, from raw outputs.

  Args:
    raw: {level: [b, h, w, anchors, 5 + classes]}.
    coordinates: of each level.
    limits: of post-processing.
    diou_exponent: see `projects.yolo.ops.nms.detect`.
  """
  levels = [
    decode_level(raw[str(level)], level, coordinates[level]) for level in sorted(coordinates)
  ]
  boxes, scores = (tf.concat(parts, axis=1) for parts in zip(*levels, strict=True))
  return detect(xywh_to_yxyx(boxes), scores, **vars(limits), diou_exponent=diou_exponent)


@tf_keras.utils.register_keras_serializable(package="Transplant")
class Yolo(tf_keras.Model):
  """A YOLO of the variant table.

  Args:
    variant: name in `VARIANTS`.
    num_classes: classes, without background.
    input_size: side of the square input in pixels, a multiple of the largest stride.
    coordinates: how outputs become boxes.
    limits: of post-processing.
    momentum: of BatchNorm.
    epsilon: of BatchNorm.
    deployed: whether to build the form of inference alone, see `Variant.deployed`.
    stem_on_quads: whether the first layers work on quads of pixels, see `quads.on_quads`.
  """

  def __init__(
    self,
    variant: str,
    num_classes: int,
    input_size: int,
    coordinates: Coordinates,
    limits: DetectionLimits | None = None,
    momentum: float = 0.97,
    epsilon: float = 1e-5,
    deployed: bool = False,
    stem_on_quads: bool = False,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    table = get_variant(variant).deployed() if deployed else get_variant(variant)
    if stem_on_quads:
      table = dataclasses.replace(table, backbone=on_quads(table.backbone))
    style = Style(table.activation, momentum, epsilon)
    image = (input_size // 2,) * 2 + (12,) if stem_on_quads else (input_size, input_size, 3)
    self.backbone = build_backbone(table, style, image)
    style = Style(table.pyramid_activation or table.activation, momentum, epsilon)
    self.decoder = build_decoder(table, style, self.backbone)
    num_anchors = {level: len(rows) for level, rows in coordinates.anchors.items()}
    self.head = build_head(table, style, self.decoder, num_anchors, num_classes)
    self.coordinates = coordinates
    self.limits = limits or DetectionLimits()
    self._config = {
      "variant": variant,
      "num_classes": num_classes,
      "input_size": input_size,
      "coordinates": dataclasses.asdict(coordinates),
      "limits": dataclasses.asdict(self.limits),
      "momentum": momentum,
      "epsilon": epsilon,
      "deployed": deployed,
      "stem_on_quads": stem_on_quads,
    }

  def call(self, images: tf.Tensor, training: bool = False) -> dict[str, Any]:
    """Runs the network.

    Args:
      images: [b, s, s, 3]: uint8 in 0..255, or floats in 0..1; [b, s / 2, s / 2, 12] where they
        are laid out in quads already.
      training: whether BatchNorm uses the batch's statistics; leaves out the detections.

    Returns:
      `raw`: {level: [b, h, w, anchors, 5 + classes]}; of a variant with auxiliary heads, in
      training, also `auxiliary`, the same of those; outside training also `detections`, boxes yxyx
      in pixels of the input (see `detect`).
    """
    if self._config["stem_on_quads"] and images.shape[-1] == 3:
      images = to_quads(images)
    if images.dtype == tf.uint8:
      images = tf.cast(images, self.compute_dtype) / 255
    features = self.backbone(images, training=training)
    outputs = self.head(self.decoder(features, training=training), training=training)
    raw = {str(level): outputs[str(level)] for level in self.coordinates.anchors}
    if not training:
      return {"raw": raw, "detections": self.detections(raw)}
    auxiliary = {
      name.removeprefix(AUXILIARY): output
      for name, output in outputs.items()
      if name.startswith(AUXILIARY)
    }
    return {"raw": raw} | ({"auxiliary": auxiliary} if auxiliary else {})

  def detections(self, raw: dict[str, tf.Tensor]) -> Detections:
    """Boxes yxyx in pixels of the input, classes and scores, from raw outputs."""
    return find_objects(raw, dict.fromkeys(self.coordinates.anchors, self.coordinates), self.limits)

  @property
  def checkpoint_items(self) -> dict[str, tf_keras.Model]:
    """Parts that TFMG saves by name, so that another task can start from one of them."""
    return {"backbone": self.backbone, "decoder": self.decoder, "head": self.head}

  def get_config(self) -> dict[str, Any]:
    return self._config

  @classmethod
  def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Yolo":
    coordinates = dict(config["coordinates"])
    # JSON knows neither integer keys nor tuples.
    coordinates["anchors"] = {
      int(level): tuple(map(tuple, rows)) for level, rows in coordinates["anchors"].items()
    }
    coordinates["scale_xy"] = {int(key): reach for key, reach in coordinates["scale_xy"].items()}
    parts = {
      "coordinates": Coordinates(**coordinates),
      "limits": DetectionLimits(**config["limits"]),
    }
    return cls(**config | parts)
