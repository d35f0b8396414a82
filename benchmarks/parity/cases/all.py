"""Every case, by name: blocks, the same blocks in other sizes, YOLO networks."""

from benchmarks.parity.cases import swin, transformer
from benchmarks.parity.cases.block import Block
from benchmarks.parity.cases.decoder import transformer_decoder
from benchmarks.parity.cases.heads import mlp_head
from benchmarks.parity.cases.maskformer import maskformer
from benchmarks.parity.cases.pixel_decoder import pixel_decoder
from benchmarks.parity.cases.position import sine_position
from benchmarks.parity.cases.resnet import resnet, resnet_stage
from official.parity.case import ParityCase
from projects.yolo.reference.cases import parity_cases

BLOCKS: dict[str, Block] = {
  block.name: block
  for block in (
    transformer.attention(),
    transformer.encoder_layer(),
    transformer.decoder_layer(),
    transformer_decoder(),
    swin.swin_block(),
    swin.patch_merging(),
    swin.swin(),
    resnet_stage(),
    resnet(),
    pixel_decoder(),
    sine_position(),
    mlp_head(),
    maskformer(),
  )
}

_OTHER = transformer.Sizes(width=20, heads=2, hidden=28, queries=9, memory=13)
_OTHER_SWIN = swin.Sizes(
  width=16, window=3, heads=(4, 2), grid=(10, 5), odd_grid=(6, 9), image=(29, 22)
)
OTHER_SIZES: dict[str, Block] = {
  block.name: block
  for block in (
    transformer.attention(_OTHER),
    transformer.encoder_layer(_OTHER),
    transformer.decoder_layer(_OTHER),
    transformer_decoder((14, 6, 4)),
    swin.swin_block(_OTHER_SWIN),
    swin.patch_merging(_OTHER_SWIN),
    swin.swin(_OTHER_SWIN),
    resnet_stage((7, 6)),
    resnet((30, 25)),
    pixel_decoder(((12, 8, 11), (20, 4, 6))),
    sine_position(28, (6, 8)),
    mlp_head(8),
    maskformer((33, 29)),
  )
}


YOLO = ("yolo/v3-tiny", "yolo/v4-tiny")
CASES = (*BLOCKS, *YOLO)


def case(name: str, other_size: bool = False) -> ParityCase:
  """The case of a block, or a project's own; only blocks come in two sizes."""
  if name in BLOCKS:
    return (OTHER_SIZES if other_size else BLOCKS)[name].case()
  return parity_cases()[name.removeprefix("yolo/")]
