"""Configuration of a YOLO task, and the experiments that are built from it."""

import dataclasses

from official.core import config_definitions as cfg
from official.modeling import hyperparams
from projects.yolo.configs.data import DataConfig


@dataclasses.dataclass
class Detection(hyperparams.Config):
  """Post-processing, see `projects.yolo.ops.nms.detect`.

  Attributes:
    score_threshold: detections below are dropped; COCO's evaluation wants it low.
    iou_threshold: boxes of one class that overlap by more are one object.
    candidates: how many (box, class) pairs of an image are looked at.
    max_detections: how many are kept.
    kind: of suppression, one of `projects.yolo.ops.nms.KINDS`.
  """

  score_threshold: float = 0.001
  iou_threshold: float = 0.6
  candidates: int = 1000
  max_detections: int = 100
  kind: str = "class_wise"


@dataclasses.dataclass
class Model(hyperparams.Config):
  """The network.

  Attributes:
    variant: name in `projects.yolo.modeling.variants.VARIANTS`.
    num_classes: classes, without background.
    input_size: side of the square input in pixels, a multiple of 32.
    coordinates: `exponential` or `scaled`, see `decoding.py`; empty for the variant's own.
    anchors: width, height, width, … in pixels, finest level first; empty for the variant's own.
    norm_momentum: of BatchNorm, in Keras' convention.
    norm_epsilon: of BatchNorm.
    stem_on_quads: whether the first layers work on 2×2 pixels at once, which TPUs are faster with;
      variables and results are the same.
    detection: post-processing.
  """

  variant: str = "v4-tiny"
  num_classes: int = 80
  input_size: int = 416
  coordinates: str = ""
  anchors: list[float] = dataclasses.field(default_factory=list)
  norm_momentum: float = 0.97
  norm_epsilon: float = 1e-5
  stem_on_quads: bool = False
  detection: Detection = dataclasses.field(default_factory=Detection)


@dataclasses.dataclass
class Losses(hyperparams.Config):
  """The loss, and gains of its terms, see `projects.yolo.losses.yolo_loss.LossWeights`.

  Attributes:
    kind: `scaled`, ScaledYOLOv4's; `v7`, `v7_ota` (dynamic assignment) and `v7_aux_ota` (with
      auxiliary heads), YOLOv7's, whose gains are for three levels, 80 classes and 640 pixels;
      `darknet_v3` (its gains: 0.75, 1, 1), `darknet_v4_tiny` and `darknet_v4` (0.07, 1, 1), with
      which Darknet trains those, see `darknet_loss.py`.
    box: gain of 1 − CIoU; of `darknet_v3`, of the squared error.
    objectness: gain of the objectness cross-entropy.
    classes: gain of the class cross-entropy.
    ratio_threshold: an anchor fits while its sides are within this factor of the object's. No part
      of Darknet's.
    exact_gradient: of Darknet's: whether the gradient of boxes is the derivative, which flows
      through decoding; Darknet's own does not.
  """

  kind: str = "scaled"
  box: float = 0.05
  objectness: float = 1.0
  classes: float = 0.5
  ratio_threshold: float = 4.0
  exact_gradient: bool = False


@dataclasses.dataclass
class Adversarial(hyperparams.Config):
  """Self-adversarial training, see `projects.yolo.losses.adversarial`; Darknet's own is off, too.

  Attributes:
    rate: how far images are moved in the end; 0 for not at all.
    start: step from which half of the steps, at random, begin so; Darknet waits for its warm-up.
    steps: over which the rate grows from 0; those of the training.
  """

  rate: float = 0.0
  start: int = 1000
  steps: int = 500000


@dataclasses.dataclass
class YoloTask(cfg.TaskConfig):
  """A detection task.

  Attributes:
    model: the network.
    train_data: input of training.
    validation_data: input of evaluation.
    losses: gains.
    adversarial: whether images are changed before they are trained on.
    categories: COCO annotation file whose category table holds; empty: what the records' sidecar or
      TFDS says.
    weight_decay: on convolution kernels only, as ScaledYOLOv4 (not on BatchNorm, not on biases).
  """

  model: Model = dataclasses.field(default_factory=Model)
  train_data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(is_training=True))
  validation_data: DataConfig = dataclasses.field(
    default_factory=lambda: DataConfig(is_training=False, drop_remainder=False)
  )
  losses: Losses = dataclasses.field(default_factory=Losses)
  adversarial: Adversarial = dataclasses.field(default_factory=Adversarial)
  categories: str = ""
  weight_decay: float = 0.0005
