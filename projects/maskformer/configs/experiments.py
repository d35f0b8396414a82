"""The experiments: a row of a table for each published network, and `tiny_shapes`.

An experiment is `maskformer_` and the row's name.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.training.optimizers import OptimizationConfig
from official.training.trainer_config import trainer_config
from projects.maskformer.configs import inputs
from projects.maskformer.configs.data import Augmentation, DataConfig
from projects.maskformer.configs.maskformer import Inference, Losses, MaskFormerTask
from projects.maskformer.configs.model import Model

_INTERVAL = 5000  # Iterations between two evaluations, as in the original.
_COCO_EPOCH = 1848  # Iterations, of 64 images each.


class DataSet(NamedTuple):
  """What all experiments on a data set share.

  Attributes:
    inputs: of training and evaluation.
    classes: how many.
    steps: of training.
    evaluations: what is measured.
    boundaries: steps at which the rate falls to a tenth; empty: it falls by the poly rule.
    object_threshold: as of `Inference`.
  """

  inputs: Callable[..., inputs.Inputs]
  classes: int
  steps: int
  evaluations: tuple[str, ...] = ("semantic",)
  boundaries: tuple[int, ...] = ()
  object_threshold: float = 0.8


DATA_SETS: Mapping[str, DataSet] = {
  "coco_panoptic": DataSet(inputs.coco_panoptic, 133, 554400, ("panoptic",), (369600,)),
  "ade20k": DataSet(inputs.ade20k, 150, 160000),
  "ade20k_panoptic": DataSet(
    inputs.ade20k_panoptic, 150, 720000, ("panoptic", "semantic"), object_threshold=0.7
  ),
  "ade20k_full": DataSet(inputs.ade20k_full, 847, 200000),
  "coco_stuff_10k": DataSet(inputs.coco_stuff_10k, 171, 60000),
  "cityscapes": DataSet(inputs.cityscapes, 19, 90000),
  "mapillary": DataSet(inputs.mapillary, 65, 300000),
}


class Row(NamedTuple):
  """A published network.

  Attributes:
    variant: of `projects.maskformer.modeling.variants.VARIANTS`.
    data: of `DATA_SETS`.
    options: of the data set's inputs, beyond their defaults.
  """

  variant: str
  data: str
  options: Mapping[str, int] = {}


ROWS: Mapping[str, Row] = {
  "r50_coco_panoptic": Row("r50_encoder", "coco_panoptic"),
  "r101_coco_panoptic": Row("r101_encoder", "coco_panoptic"),
  "swin_tiny_coco_panoptic": Row("swin_tiny", "coco_panoptic"),
  "swin_small_coco_panoptic": Row("swin_small", "coco_panoptic"),
  "swin_base_coco_panoptic": Row("swin_base", "coco_panoptic"),
  "swin_large_coco_panoptic": Row("swin_large", "coco_panoptic", {"max_size": 1000}),
  "per_pixel_r50_ade20k": Row("per_pixel_r50", "ade20k"),
  "per_pixel_plus_r50_ade20k": Row("per_pixel_plus_r50", "ade20k"),
  "r50_ade20k": Row("r50", "ade20k"),
  "r101_ade20k": Row("r101", "ade20k"),
  "r101c_ade20k": Row("r101c", "ade20k"),
  "swin_tiny_ade20k": Row("swin_tiny", "ade20k"),
  "swin_small_ade20k": Row("swin_small", "ade20k"),
  "swin_base_ade20k": Row("swin_base", "ade20k", {"crop": 640}),
  "swin_large_ade20k": Row("swin_large", "ade20k", {"crop": 640}),
  "r50_ade20k_panoptic": Row("r50_encoder", "ade20k_panoptic"),
  "r101_ade20k_panoptic": Row("r101_encoder", "ade20k_panoptic"),
  "per_pixel_r50_ade20k_full": Row("per_pixel_r50", "ade20k_full"),
  "per_pixel_plus_r50_ade20k_full": Row("per_pixel_plus_r50", "ade20k_full"),
  "r50_ade20k_full": Row("r50", "ade20k_full"),
  "r101_ade20k_full": Row("r101", "ade20k_full"),
  "r101c_ade20k_full": Row("r101c", "ade20k_full"),
  "per_pixel_r50_coco_stuff_10k": Row("per_pixel_r50", "coco_stuff_10k"),
  "per_pixel_plus_r50_coco_stuff_10k": Row("per_pixel_plus_r50", "coco_stuff_10k"),
  "r50_coco_stuff_10k": Row("r50", "coco_stuff_10k"),
  "r101_coco_stuff_10k": Row("r101", "coco_stuff_10k"),
  "r101c_coco_stuff_10k": Row("r101c", "coco_stuff_10k"),
  "r101_cityscapes": Row("r101", "cityscapes"),
  "r101c_cityscapes": Row("r101c", "cityscapes"),
  "r50_mapillary": Row("r50", "mapillary"),
}


def _published(row: Row) -> cfg.ExperimentConfig:
  """The experiment of a row, in float32 as the original; its backbone wants ImageNet's weights."""
  data = DATA_SETS[row.data]
  train, validation = data.inputs(**row.options)
  swin = row.variant.startswith("swin")
  task = MaskFormerTask(
    model=Model(variant=row.variant, num_classes=data.classes),
    train_data=train,
    validation_data=validation,
    inference=Inference(object_threshold=data.object_threshold),
    evaluations=list(data.evaluations),
    backbone_multiplier=1.0 if swin else 0.1,
  )
  rate, decay = (6e-5, 1e-2) if swin else (1e-4, 1e-4)
  optimizer = _adamw(rate, decay, data.steps, data.boundaries, warmup_steps=1500 if swin else 0)
  interval = 10 * _COCO_EPOCH if data.boundaries else _INTERVAL
  return cfg.ExperimentConfig(
    task=task,
    trainer=trainer_config(data.steps, 100, interval, optimizer, best=_best(data.evaluations)),
    runtime=cfg.RuntimeConfig(distribution_strategy="mirrored"),
  )


def _best(evaluations: tuple[str, ...]) -> str:
  return "PQ" if "panoptic" in evaluations else "mIoU"


for _name, _row in ROWS.items():
  exp_factory.register_config_factory(f"maskformer_{_name}")(functools.partial(_published, _row))


@exp_factory.register_config_factory("maskformer_tiny_shapes")
def maskformer_tiny_shapes() -> cfg.ExperimentConfig:
  """A small MaskFormer from scratch on the built-in shapes, in half an hour on two cores."""
  steps, size = 4_000, [160, 160]
  data = {"output_size": size, "min_sizes": size[:1], "max_size": size[0], "max_segments": 20}
  task = MaskFormerTask(
    # No dropout: there are no two images alike.
    model=Model(variant="tiny", num_classes=10, frozen_norm=False, dropout=0.0),
    train_data=DataConfig(
      input_path="data/shapes/train-*.tfrecord",
      is_training=True,
      global_batch_size=16,
      shuffle_buffer_size=1000,
      augmentation=Augmentation(),
      **data,
    ),
    validation_data=DataConfig(
      input_path="data/shapes/val-*.tfrecord",
      is_training=False,
      global_batch_size=16,
      drop_remainder=False,
      groundtruth_size=size,
      **data,
    ),
    # The published weights (1, 20, 1) teach masks, and leave classes where they were for long.
    losses=Losses(classes=5.0, mask=5.0, dice=5.0),
    inference=Inference(object_threshold=0.5),
    backbone_multiplier=1.0,
    allow_image_summary=True,
  )
  # Grounds are told apart late, and while the rate is high: it stays so for longer.
  optimizer = _adamw(1e-3, 1e-4, steps, warmup_steps=200, power=0.5)
  return cfg.ExperimentConfig(
    task=task,
    trainer=trainer_config(steps, 50, 1000, optimizer, best="PQ"),
    runtime=cfg.RuntimeConfig(distribution_strategy="one_device"),
  )


def _adamw(
  rate: float,
  decay: float,
  steps: int,
  boundaries: tuple[int, ...] = (),
  warmup_steps: int = 0,
  power: float = 0.9,
) -> OptimizationConfig:
  """The original's optimizer: AdamW, clipped as a whole; a rate that falls by steps or by poly."""
  schedule: dict[str, Any] = {
    "type": "poly",
    "poly": {"initial_learning_rate": rate, "decay_steps": steps, "power": power},
  }
  if boundaries:
    falls = {"initial_learning_rate": rate, "boundaries": list(boundaries), "factor": 0.1}
    schedule = {"type": "steps", "steps": falls}
  warmup = {"type": "product", "product": {"warmup_steps": warmup_steps, "factor": 1e-6}}
  return OptimizationConfig(
    {
      "optimizer": {
        "type": "adamw_torch",
        "adamw_torch": {"weight_decay": decay, "clip_norm": 0.01},
      },
      "learning_rate": schedule,
      "warmup": warmup if warmup_steps else {},
    }
  )
