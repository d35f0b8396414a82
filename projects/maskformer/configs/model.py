"""Configuration of a MaskFormer's network."""

import dataclasses

from official.modeling import hyperparams


@dataclasses.dataclass
class Model(hyperparams.Config):
  """The network.

  Attributes:
    variant: name in `projects.maskformer.modeling.variants.VARIANTS`.
    num_classes: classes, without "no object".
    frozen_norm: whether the ResNet's normalizations are frozen, as the original's; otherwise they
      train, which a backbone without pretrained weights needs.
    deep_supervision: whether every decoder layer predicts in training.
    dropout: of the transformers.
    drop_path: Swin's stochastic depth, at its last block.
  """

  variant: str = "r50"
  num_classes: int = 150
  frozen_norm: bool = True
  deep_supervision: bool = True
  dropout: float = 0.1
  drop_path: float = 0.3
