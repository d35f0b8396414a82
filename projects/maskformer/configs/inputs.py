"""The inputs of the published networks: a function for each data set.

Sizes, crops and colours are the original's. Its networks see images of any size; ours see a canvas
of one size, which is stated here (`DataConfig.output_size`), for training and for evaluation.
"""

from typing import Any

from projects.maskformer.configs.data import Augmentation, DataConfig, ManyViews, Zoom

Inputs = tuple[DataConfig, DataConfig]

_COCO_SIZES = list(range(480, 801, 32))


def coco_panoptic(max_size: int = 1333) -> Inputs:
  """COCO 2017, panoptic: DETR's resizing and zoom. Canvas: all sizes fit."""
  canvas = -(-max_size // 32) * 32
  train = _training(
    "coco_panoptic",
    64,
    output_size=[canvas, canvas],
    min_sizes=_COCO_SIZES,
    max_size=max_size,
    keep_absent=True,
    augmentation=Augmentation(zoom=Zoom(probability=0.5)),
  )
  validation = _evaluation(
    "coco_panoptic", 8, output_size=[1344, 1344], min_sizes=[800], max_size=1333
  )
  return train, validation


def ade20k(crop: int = 512) -> Inputs:
  """ADE20K with 150 categories. Canvas: a crop; in evaluation, images up to 3:2 at full size."""
  train, validation = _cropped("ade20k", 16, crop, 20, [2600, 2600])
  return train, validation.replace(many_views=_many_views(crop, 7 * crop))


def ade20k_panoptic() -> Inputs:
  """ADE20K with 100 things and 50 kinds of stuff; crops of 640."""
  train, validation = _cropped("ade20k_panoptic", 16, 640, 20, [2600, 2600])
  return train.replace(keep_absent=True), validation


def ade20k_full() -> Inputs:
  """ADE20K with 847 categories; crops of 512."""
  return _cropped("ade20k_full", 16, 512, 20, [6000, 6000])


def coco_stuff_10k() -> Inputs:
  """COCO-Stuff-10k with 171 categories; crops of 640."""
  train, validation = _cropped("coco_stuff_10k", 32, 640, 15, [640, 640])
  return train, validation.replace(many_views=_many_views(640, 4480))


def cityscapes() -> Inputs:
  """Cityscapes with 19 categories. Every image is 1024 x 2048, and so is the canvas."""
  train = _training(
    "cityscapes",
    16,
    output_size=[512, 1024],
    min_sizes=_shares(1024, 20),
    max_size=4096,
    augmentation=Augmentation(crop=[512, 1024], color=True),
  )
  size = {"output_size": [1024, 2048], "groundtruth_size": [1024, 2048]}
  views = _many_views(1024, 4096)
  return train, _evaluation(
    "cityscapes", 8, min_sizes=[1024], max_size=2048, many_views=views, **size
  )


def mapillary() -> Inputs:
  """Mapillary Vistas with 65 categories. The longest side of an image becomes 2048."""
  train = _training(
    "mapillary",
    16,
    output_size=[1280, 1280],
    min_sizes=_shares(2048, 20),
    max_size=8192,
    grey_padding=True,
    augmentation=Augmentation(crop=[1280, 1280], color=True),
  )
  size = {"output_size": [2048, 2048], "groundtruth_size": [6000, 6000]}
  return train, _evaluation("mapillary", 8, min_sizes=[2048], max_size=2048, **size)


def _cropped(name: str, batch: int, crop: int, largest: int, groundtruth_size: list[int]) -> Inputs:
  """Crops of half to `largest` tenths of the size; padding is grey in training."""
  train = _training(
    name,
    batch,
    output_size=[crop, crop],
    min_sizes=_shares(crop, largest),
    max_size=4 * crop,
    grey_padding=True,
    augmentation=Augmentation(crop=[crop, crop], color=True),
  )
  canvas = 3 * crop // 2
  size = {"output_size": [canvas, canvas], "groundtruth_size": groundtruth_size}
  return train, _evaluation(name, 8, min_sizes=[crop], max_size=4 * crop, **size)


def _shares(size: int, largest: int) -> list[int]:
  """Half of the size to `largest` tenths of it, in steps of a tenth, as the original rounds."""
  return [int(tenth * 0.1 * size) for tenth in range(5, largest + 1)]


def _many_views(size: int, max_size: int) -> ManyViews:
  """The original's six, from half to seven quarters of the size; not taken until enabled."""
  return ManyViews(min_sizes=[quarters * size // 4 for quarters in range(2, 8)], max_size=max_size)


def _training(name: str, batch: int, **options: Any) -> DataConfig:
  return DataConfig(
    input_path=f"data/{name}/train-*.tfrecord",
    is_training=True,
    global_batch_size=batch,
    shuffle_buffer_size=10000,
    **options,
  )


def _evaluation(name: str, batch: int, **options: Any) -> DataConfig:
  return DataConfig(
    input_path=f"data/{name}/val-*.tfrecord",
    is_training=False,
    global_batch_size=batch,
    drop_remainder=False,
    **options,
  )
