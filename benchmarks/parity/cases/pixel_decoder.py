"""MaskFormer's pixel decoder: three features, none twice as large as the next."""

from transformers.models.maskformer.modeling_maskformer import MaskFormerPixelDecoder

from benchmarks.parity.blocks.pixel_decoder import PixelDecoder
from benchmarks.parity.cases.block import Block, regression
from benchmarks.parity.cases.correspondence import Same, excuses, under

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

PIXEL_DECODER_BLOCK = Block(
  name="pixel_decoder",
  module=lambda: MaskFormerPixelDecoder(
    in_features=_FEATURES[-1][0],
    lateral_widths=[widths[0] for widths in _FEATURES[:-1]],
    feature_size=WIDTH,
    mask_feature_size=MASK_WIDTH,
  ),
  layer=lambda: PixelDecoder(WIDTH, MASK_WIDTH, len(_FEATURES)),
  forward=lambda module, batch: module([batch[f"feature{i}"] for i in range(3)]).last_hidden_state,
  call=lambda layer, batch, training: layer([batch[f"feature{i}"] for i in range(3)]),
  table=(*PIXEL_DECODER, Same(":last_hidden_state", "")),
  batch=lambda generator: {
    **{f"feature{i}": generator.standard_normal([2, *size]) for i, size in enumerate(_FEATURES)},
    "target0": generator.standard_normal([2, MASK_WIDTH, *_FEATURES[0][1:]]),
  },
  losses=regression(1),
  excuses=excuses("", EXCUSES),
)
