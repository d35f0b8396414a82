"""Every block's case, by name."""

from benchmarks.parity.cases.block import Block
from benchmarks.parity.cases.decoder import DECODER_MODULE
from benchmarks.parity.cases.heads import MLP_HEAD_BLOCK
from benchmarks.parity.cases.maskformer import MASKFORMER
from benchmarks.parity.cases.pixel_decoder import PIXEL_DECODER_BLOCK
from benchmarks.parity.cases.position import POSITION_BLOCK
from benchmarks.parity.cases.resnet import RESNET, STAGE_BLOCK
from benchmarks.parity.cases.swin import MERGING_BLOCK, SWIN, SWIN_BLOCK
from benchmarks.parity.cases.transformer import ATTENTION_BLOCK, DECODER_BLOCK, ENCODER_BLOCK

BLOCKS: dict[str, Block] = {
  block.name: block
  for block in (
    ATTENTION_BLOCK,
    ENCODER_BLOCK,
    DECODER_BLOCK,
    DECODER_MODULE,
    SWIN_BLOCK,
    MERGING_BLOCK,
    SWIN,
    STAGE_BLOCK,
    RESNET,
    PIXEL_DECODER_BLOCK,
    POSITION_BLOCK,
    MLP_HEAD_BLOCK,
    MASKFORMER,
  )
}
