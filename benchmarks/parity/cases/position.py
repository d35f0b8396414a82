"""MaskFormer's sine position encoding, of images that are padded below and on the right."""

import functools

import numpy as np
import torch
from transformers.models.maskformer.modeling_maskformer import MaskFormerSinePositionEmbedding

from benchmarks.parity.cases.block import Block
from official.parity.case import Arrays
from projects.maskformer.modeling.position import SinePosition
from projects.maskformer.reference.correspondence import Same


def _batch(width: int, grid: tuple[int, int], generator: np.random.Generator) -> Arrays:
  valid = np.zeros([2, *grid], bool)
  for image in valid:
    image[: generator.integers(2, grid[0]), : generator.integers(3, grid[1])] = True
  return {"valid": valid, "like": generator.standard_normal([2, width, *grid])}


def _encode(
  module: MaskFormerSinePositionEmbedding, batch: dict[str, torch.Tensor]
) -> torch.Tensor:
  like = batch["like"]
  return module(like.shape, like.device, like.dtype, batch["valid"])


def sine_position(width: int = 20, grid: tuple[int, int] = (5, 7)) -> Block:
  """Positions of valid pixels."""
  return Block(
    name="sine_position",
    module=lambda: MaskFormerSinePositionEmbedding(width // 2, normalize=True),
    layer=lambda: SinePosition(width),
    forward=_encode,
    call=lambda layer, batch, training: layer(batch["valid"]),
    table=(Same("", ""),),
    batch=functools.partial(_batch, width, grid),
  )
