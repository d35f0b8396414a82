"""A ResNet stage, and a backbone of stem and two stages."""

from transformers.models.resnet.configuration_resnet import ResNetConfig
from transformers.models.resnet.modeling_resnet import ResNetBackbone, ResNetStage

from benchmarks.parity.cases.block import Block, halves, regression
from official.parity.case import Excuse
from projects.maskformer.modeling.backbones.resnet import ResNet, Stage
from projects.maskformer.reference.correspondence import Same, excuses, under

STEM, FILTERS, DEPTHS = 8, (16, 28), (2, 1)
IMAGE = (27, 34)  # 7 × 9 pixels behind the stem, then 4 × 5: odd and even sides at stride 2.

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
_LAYERS = (
  *under("layers.{i}.shortcut", "block{i}/shortcut", _CONV_NORM),
  *under("layers.{i}", "block{i}", _BOTTLENECK),
)
BACKBONE = (
  *under("embedder.embedder", "stem/conv", _CONV_NORM),
  Same("embedder.pooler", "stem/pool"),
  Same("embedder", "stem"),
  *under("encoder.stages.{s}", "stage{s}", _LAYERS),
  Same("encoder.stages.{s}", "stage{s}"),
)
_LAST_STEP = "the last step of our convolution or bottleneck"
_STAGE_EXCUSES = {
  "layers.{i}.activation": _LAST_STEP,
  "layers.{i}.layer.{j}.activation": _LAST_STEP,
  "layers.{i}.layer": "hands on what its last convolution returns",
}
_STAGE_OF_TWO = _STAGE_EXCUSES | {"layers.1.shortcut": "an identity: nothing is projected"}


def backbone_excuses(prefix: str) -> tuple[Excuse, ...]:
  """Of a ResNet whose modules are under `prefix`."""
  encoder = "encoder" if not prefix else f"{prefix}.encoder"
  return (
    *excuses(f"{encoder}.stages.0", _STAGE_OF_TWO),
    *excuses(f"{encoder}.stages.1", _STAGE_EXCUSES),
    *excuses(prefix, {"embedder.embedder.activation": _LAST_STEP}),
    *excuses(encoder, {":{leaf*}": "hands on what its stages return"}),
  )


def resnet_config() -> ResNetConfig:
  """Two stages of bottlenecks."""
  sizes = {"embedding_size": STEM, "hidden_sizes": list(FILTERS), "depths": list(DEPTHS)}
  return ResNetConfig(**sizes, out_features=["stage1", "stage2"])


def resnet_stage(grid: tuple[int, int] = (8, 11)) -> Block:
  """Two bottlenecks, the first at stride 2."""
  return Block(
    name="resnet_stage",
    module=lambda: ResNetStage(resnet_config(), 12, 20, stride=2, depth=2),
    layer=lambda: Stage(20, 2),
    forward=lambda module, batch: module(batch["features"]),
    call=lambda layer, batch, training: layer(batch["features"], training=training),
    table=(*_LAYERS, Same("", "")),
    batch=lambda generator: {
      "features": generator.standard_normal([3, 12, *grid]),
      "target0": generator.standard_normal([3, 20, *halves(grid)]),
    },
    losses=regression(1),
    excuses=excuses("", _STAGE_OF_TWO),
  )


def resnet(image: tuple[int, int] = IMAGE) -> Block:
  """A backbone: stem and two stages."""
  fine = halves(halves(image))
  return Block(
    name="resnet",
    module=lambda: ResNetBackbone(resnet_config()),
    layer=lambda: ResNet(STEM, FILTERS, DEPTHS),
    forward=lambda module, batch: module(batch["image"]).feature_maps,
    call=lambda layer, batch, training: layer(batch["image"], training=training),
    table=(*BACKBONE, Same(":feature_maps.{i}", ":{i}")),
    batch=lambda generator: {
      "image": generator.standard_normal([2, 3, *image]),
      "target0": generator.standard_normal([2, FILTERS[0], *fine]),
      "target1": generator.standard_normal([2, FILTERS[1], *halves(fine)]),
    },
    losses=regression(2),
    trained=True,
    size=image,
    excuses=backbone_excuses(""),
  )
