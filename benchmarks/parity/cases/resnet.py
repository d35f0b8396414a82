"""A ResNet stage, and a backbone of stem and two stages."""

from transformers.models.resnet.configuration_resnet import ResNetConfig
from transformers.models.resnet.modeling_resnet import ResNetBackbone, ResNetStage

from benchmarks.parity.blocks.resnet import ResNet, Stage
from benchmarks.parity.cases.block import Block, regression
from benchmarks.parity.cases.correspondence import Same, under
from official.parity.case import Excuse

STEM, FILTERS, DEPTHS = 8, (16, 28), (2, 1)
IMAGE = (27, 34)  # Stem 7 × 9, then 4 × 5: odd and even sides at stride 2.

_CONV_NORM = (
  Same("convolution", "conv", "conv_no_bias"),
  Same("normalization", "norm", "batch_norm"),
  Same("", ""),
)
_BOTTLENECK = (
  *under("layer.0", "reduce", _CONV_NORM),
  *under("layer.1", "conv", _CONV_NORM),
  *under("layer.2", "expand", _CONV_NORM),
  Same("", ""),
)
_PROJECTED = (*under("shortcut", "shortcut", _CONV_NORM), *_BOTTLENECK)
STAGE = (
  *under("layers.0", "block0", _PROJECTED),
  *under("layers.{i}", "block{i}", _BOTTLENECK),
  Same("", ""),
)
BACKBONE = (
  *under("embedder.embedder", "stem/conv", _CONV_NORM),
  Same("embedder.pooler", "stem/pool"),
  Same("embedder", "stem"),
  *under("encoder.stages.{s}.layers.0", "stage{s}/block0", _PROJECTED),
  *under("encoder.stages.{s}.layers.{i}", "stage{s}/block{i}", _BOTTLENECK),
  Same("encoder.stages.{s}", "stage{s}"),
)
STAGE_EXCUSES = (
  Excuse("output/{path*}activation", "the last step of our convolution or bottleneck"),
  Excuse("output/{path*}layers", "hands on what the last bottleneck returns"),
  Excuse("output/{path*}layer", "hands on what the last convolution returns"),
  Excuse("output/{path*}shortcut", "an identity where the shortcut is not projected"),
)
BACKBONE_EXCUSES = (
  *STAGE_EXCUSES,
  Excuse("output/{path*}encoder:{leaf*}", "hands on what its stages return"),
)


def resnet_config() -> ResNetConfig:
  """Two stages of bottlenecks."""
  sizes = {"embedding_size": STEM, "hidden_sizes": list(FILTERS), "depths": list(DEPTHS)}
  return ResNetConfig(**sizes, out_features=["stage1", "stage2"])


STAGE_BLOCK = Block(
  name="resnet_stage",
  module=lambda: ResNetStage(resnet_config(), 12, 20, stride=2, depth=2),
  layer=lambda: Stage(20, 2),
  forward=lambda module, batch: module(batch["features"]),
  call=lambda layer, batch, training: layer(batch["features"], training=training),
  table=STAGE,
  batch=lambda generator: {
    "features": generator.standard_normal([3, 12, 8, 11]),
    "target0": generator.standard_normal([3, 20, 4, 6]),
  },
  losses=regression(1),
  excuses=STAGE_EXCUSES,
)

RESNET = Block(
  name="resnet",
  module=lambda: ResNetBackbone(resnet_config()),
  layer=lambda: ResNet(STEM, FILTERS, DEPTHS),
  forward=lambda module, batch: module(batch["image"]).feature_maps,
  call=lambda layer, batch, training: layer(batch["image"], training=training),
  table=(*BACKBONE, Same(":feature_maps.{i}", ":{i}")),
  batch=lambda generator: {
    "image": generator.standard_normal([2, 3, *IMAGE]),
    "target0": generator.standard_normal([2, FILTERS[0], 7, 9]),
    "target1": generator.standard_normal([2, FILTERS[1], 4, 5]),
  },
  losses=regression(2),
  excuses=BACKBONE_EXCUSES,
)
