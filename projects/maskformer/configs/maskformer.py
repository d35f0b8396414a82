"""Configuration of a MaskFormer task."""

import dataclasses

from official.core import config_definitions as cfg
from official.modeling import hyperparams
from projects.maskformer.configs.data import DataConfig
from projects.maskformer.configs.model import Model


@dataclasses.dataclass
class Losses(hyperparams.Config):
  """Weights of the loss terms, see `projects.maskformer.losses.matcher.LossWeights`.

  Attributes:
    classes: of the classification.
    mask: of the focal loss.
    dice: of the dice loss.
    no_object: of queries without a target within the classification.
  """

  classes: float = 1.0
  mask: float = 20.0
  dice: float = 1.0
  no_object: float = 0.1


@dataclasses.dataclass
class Inference(hyperparams.Config):
  """Post-processing, see `projects.maskformer.postprocessing`.

  Attributes:
    object_threshold: a query is a segment where its class is more probable than this.
    overlap_threshold: and where it wins this share of its own mask.
    max_instances: how many instances of an image mask AP looks at.
  """

  object_threshold: float = 0.8
  overlap_threshold: float = 0.8
  max_instances: int = 100


@dataclasses.dataclass
class MaskFormerTask(cfg.TaskConfig):
  """A segmentation task.

  Attributes:
    model: the network.
    train_data: input of training.
    validation_data: input of evaluation.
    losses: weights.
    inference: post-processing.
    evaluations: what is measured: `panoptic` (PQ), `semantic` (mean IoU), `instance` (mask AP).
      Per-pixel baselines have `semantic` alone.
    categories: COCO annotation file, or list, whose category table holds; empty: what the records'
      sidecar or TFDS says.
    backbone_multiplier: of the backbone's learning rate.
    init_checkpoint_modules: parts of the network that `init_checkpoint` fills, such as `backbone`;
      empty: all.
  """

  model: Model = dataclasses.field(default_factory=Model)
  train_data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(is_training=True))
  validation_data: DataConfig = dataclasses.field(
    default_factory=lambda: DataConfig(is_training=False, drop_remainder=False)
  )
  losses: Losses = dataclasses.field(default_factory=Losses)
  inference: Inference = dataclasses.field(default_factory=Inference)
  evaluations: list[str] = dataclasses.field(default_factory=lambda: ["panoptic"])
  categories: str = ""
  backbone_multiplier: float = 0.1
  init_checkpoint_modules: list[str] = dataclasses.field(default_factory=list)
