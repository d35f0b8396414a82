"""MaskFormer's sine position encoding, of images that are padded below and on the right."""

import numpy as np
import torch
from transformers.models.maskformer.modeling_maskformer import MaskFormerSinePositionEmbedding

from benchmarks.parity.blocks.position import SinePosition
from benchmarks.parity.cases.block import Block
from benchmarks.parity.cases.correspondence import Same
from official.parity.case import Arrays

_WIDTH, _HEIGHT, _COLUMNS = 20, 5, 7


def _batch(generator: np.random.Generator) -> Arrays:
  valid = np.zeros([2, _HEIGHT, _COLUMNS], bool)
  for image in valid:
    image[: generator.integers(2, _HEIGHT), : generator.integers(3, _COLUMNS)] = True
  return {"valid": valid, "like": generator.standard_normal([2, _WIDTH, _HEIGHT, _COLUMNS])}


def _encode(
  module: MaskFormerSinePositionEmbedding, batch: dict[str, torch.Tensor]
) -> torch.Tensor:
  like = batch["like"]
  return module(like.shape, like.device, like.dtype, batch["valid"])


POSITION_BLOCK = Block(
  name="sine_position",
  module=lambda: MaskFormerSinePositionEmbedding(_WIDTH // 2, normalize=True),
  layer=lambda: SinePosition(_WIDTH),
  forward=_encode,
  call=lambda layer, batch, training: layer(batch["valid"]),
  table=(Same("", ""),),
  batch=_batch,
)
