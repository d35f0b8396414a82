"""MaskFormer's pixel decoder."""

from transformers.models.maskformer.modeling_maskformer import MaskFormerPixelDecoder

from benchmarks.parity.cases.block import Block, regression
from projects.maskformer.modeling.pixel_decoders.fpn import PixelDecoder
from projects.maskformer.reference.correspondence import Same, excuses, under

WIDTH, MASK_WIDTH = 64, 20
_FEATURES = ((10, 9, 13), (14, 5, 7), (18, 3, 4))

_CONV_NORM = (Same("0", "conv", "conv_no_bias"), Same("1", "norm", "norm"), Same("", ""))
PIXEL_DECODER = (
  *under("fpn.stem", "stem", _CONV_NORM),
  *under("fpn.layers.{i}.proj", "step{i}/lateral", _CONV_NORM),
  *under("fpn.layers.{i}.block", "step{i}/smooth", _CONV_NORM),
  Same("fpn.layers.{i}", "step{i}"),
  Same("mask_projection", "embedding", "conv"),
)
EXCUSES = {
  "fpn.stem.2": "the last step of our ConvGroupNorm",
  "fpn.layers.{i}.block.2": "the last step of our ConvGroupNorm",
  "fpn:{i}": "hands on what its layers return",
}

_Features = tuple[tuple[int, int, int], ...]


def pixel_decoder(features: _Features = ((10, 9, 13), (14, 5, 7), (18, 3, 4))) -> Block:
  """A pyramid over features [c, h, w], finest first; none is twice as large as the next."""
  count = len(features)
  inputs = lambda batch: [batch[f"feature{index}"] for index in range(count)]  # noqa: E731
  return Block(
    name="pixel_decoder",
    module=lambda: MaskFormerPixelDecoder(
      in_features=features[-1][0],
      lateral_widths=[feature[0] for feature in features[:-1]],
      feature_size=WIDTH,
      mask_feature_size=MASK_WIDTH,
    ),
    layer=lambda: PixelDecoder(WIDTH, MASK_WIDTH, count),
    forward=lambda module, batch: module(inputs(batch)).last_hidden_state,
    call=lambda layer, batch, training: layer(inputs(batch)),
    table=(*PIXEL_DECODER, Same(":last_hidden_state", "")),
    batch=lambda generator: {
      **{f"feature{i}": generator.standard_normal([2, *size]) for i, size in enumerate(features)},
      "target0": generator.standard_normal([2, MASK_WIDTH, *features[0][1:]]),
    },
    losses=regression(1),
    excuses=excuses("", EXCUSES),
  )
