"""Configuration of MaskFormer's input: where examples come from and how they are augmented."""

import dataclasses

from official.core import config_definitions as cfg
from official.modeling import hyperparams


@dataclasses.dataclass
class Zoom(hyperparams.Config):
  """DETR's crop between two resizings; the defaults are those of COCO.

  Attributes:
    probability: how often it is done at all; it goes before the resizing of every image.
    min_sizes: to one of these the shortest side is brought before the crop, in pixels.
    low: least height and width of the window, in pixels.
    high: greatest height and width of the window, in pixels.
  """

  probability: float = 0.0
  min_sizes: list[int] = dataclasses.field(default_factory=lambda: [400, 500, 600])
  low: int = 384
  high: int = 600


@dataclasses.dataclass
class Augmentation(hyperparams.Config):
  """Random changes of training images, besides the choice among `DataConfig.min_sizes`.

  Every random number is a function of the data seed and the position of the image in the stream.

  Attributes:
    flip: probability of a mirror image, left to right.
    zoom: a window that is cut out and enlarged.
    crop: height and width in pixels of the window that is cut from the resized image (a smaller
      image is taken whole); empty for none.
    max_category_area: a window counts only where no category has more than this part of its
      labelled pixels; ten are tried. 1 for any.
    color: whether to change brightness, contrast, saturation and hue, as SSD.
  """

  flip: float = 0.5
  zoom: Zoom = dataclasses.field(default_factory=Zoom)
  crop: list[int] = dataclasses.field(default_factory=list)
  max_category_area: float = 1.0
  color: bool = False


@dataclasses.dataclass
class ManyViews(hyperparams.Config):
  """Views of an image whose semantic scores are averaged, as the original's `TEST.AUG`.

  Each is seen plain and mirrored. The image that evaluation feeds is resized once more.

  Attributes:
    enabled: whether to; else the network sees each image once.
    min_sizes: to these the shortest side is brought, in pixels, one after the other.
    max_size: the longest side of a view stays within this, in pixels.
  """

  enabled: bool = False
  min_sizes: list[int] = dataclasses.field(default_factory=list)
  max_size: int = 4096


@dataclasses.dataclass
class DataConfig(cfg.DataConfig):
  """Input of MaskFormer, in addition to the options of every TFMG input.

  Attributes:
    seed: the whole order and augmentation of the data follows from this number.
    output_size: height and width of the network's input in pixels, the same for all images. A
      smaller image lies in its top left corner; what is larger after resizing (and cropping) is
      shrunk until it fits.
    min_sizes: to one of these the shortest side is brought, in pixels; evaluation takes the first.
    max_size: the longest side stays within this, in pixels.
    max_segments: how many segments an image has room for as targets, at most 255; beyond that the
      smallest are dropped and counted.
    keep_absent: whether segments that a crop has cut away stay targets, with empty masks, as in the
      original's panoptic training (its semantic training forgets them).
    grey_padding: whether padding is grey (128) before normalization, as in the original's training
      with `size_divisibility`; else it is zero after it, as in all its evaluation.
    groundtruth_size: height and width that hold every annotation of an evaluation in its own size.
    augmentation: random changes of training images.
    many_views: what evaluation and prediction average over; semantic labels alone.
  """

  seed: int | None = 0
  output_size: list[int] = dataclasses.field(default_factory=lambda: [512, 512])
  min_sizes: list[int] = dataclasses.field(default_factory=lambda: [512])
  max_size: int = 2048
  max_segments: int = 100
  keep_absent: bool = False
  grey_padding: bool = False
  groundtruth_size: list[int] = dataclasses.field(default_factory=lambda: [640, 640])
  augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
  many_views: ManyViews = dataclasses.field(default_factory=ManyViews)
