"""Configuration of YOLO's input: where examples come from and how they are augmented."""

import dataclasses

from official.core import config_definitions as cfg
from official.modeling import hyperparams


@dataclasses.dataclass
class Augmentation(hyperparams.Config):
  """Random changes of training images; the defaults are those of Scaled-YOLOv4 (P5).

  Every random number is a function of the data seed and the position of the image in the stream.

  Attributes:
    group_size: how many consecutive examples are decoded together and mixed with one another. Each
      example serves as a tile four times within its group (nine times in mosaics of nine). At least
      4 where `mosaic` > 0, 9 where `mosaic_nine` > 0.
    mosaic: probability that an image is put together from several examples.
    mosaic_nine: share of these that are put together from nine, not four.
    mixup: probability that an image is blended with another one of its group, each of them
      augmented; the share of each is drawn from Beta(8, 8).
    scale: zoom, drawn from [1 - scale, 1 + scale].
    translate: shift, drawn from [-translate, translate], in units of the input size.
    degrees: rotation about the centre, drawn from [-degrees, degrees].
    shear: shear along x and y, drawn from [-shear, shear], in degrees.
    jitter: width and height of each tile are multiplied by independent numbers from
      [1 - jitter, 1 + jitter].
    flip: probability of a mirror image, left to right.
    hue: relative change of the hue: it is multiplied by a number from [1 - hue, 1 + hue].
    saturation: relative change of the saturation, likewise.
    value: relative change of the value, likewise.
  """

  group_size: int = 8
  mosaic: float = 1.0
  mosaic_nine: float = 0.0
  mixup: float = 0.0
  scale: float = 0.5
  translate: float = 0.1
  degrees: float = 0.0
  shear: float = 0.0
  jitter: float = 0.0
  flip: float = 0.5
  hue: float = 0.015
  saturation: float = 0.7
  value: float = 0.4


@dataclasses.dataclass
class DataConfig(cfg.DataConfig):
  """Input of YOLO, in addition to the options of every TFMG input.

  Attributes:
    seed: the whole order and augmentation of the data follows from this number.
    max_boxes: how many boxes an image has room for; further ones are dropped in training and are an
      error in evaluation.
    letterbox: whether evaluation keeps the aspect ratio and pads (True), or stretches the image to
      the square input (False, as Darknet does). Training keeps the aspect ratio, but for jitter.
    augmentation: random changes of training images.
  """

  seed: int | None = 0
  max_boxes: int = 100
  letterbox: bool = True
  augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
