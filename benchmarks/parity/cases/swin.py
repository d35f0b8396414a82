"""Swin: one shifted block, patch merging, and a backbone of two stages."""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from transformers.models.swin.configuration_swin import SwinConfig
from transformers.models.swin.modeling_swin import SwinBackbone, SwinLayer, SwinPatchMerging

from benchmarks.parity.cases.block import Block, halves, regression
from benchmarks.parity.cases.transformer import ACTIVATION_INSIDE, MLP
from official.checkpoints.rules import Ignore
from official.parity.case import Arrays, Excuse
from projects.maskformer.modeling.backbones.patches import PatchMerging
from projects.maskformer.modeling.backbones.swin import Swin
from projects.maskformer.modeling.backbones.swin_block import SwinBlock
from projects.maskformer.reference.correspondence import Same, excuses, under


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Of Swins and what they are given.

  Attributes:
    width: channels of the first stage.
    window: side of a window.
    heads: of both stages.
    grid: pixels of a block's feature; neither side divides into windows.
    odd_grid: pixels of what is merged.
    image: pixels of a backbone's image; patches are 4 × 4.
  """

  width: int = 12
  window: int = 4
  heads: tuple[int, int] = (2, 3)
  grid: tuple[int, int] = (7, 10)
  odd_grid: tuple[int, int] = (5, 8)
  image: tuple[int, int] = (30, 37)


SIZES = Sizes()

_ROWS = "b (h w) c -> b h w c"
_ATTENTION = (
  Same("q_proj", "query", "linear"),
  Same("k_proj", "key", "linear"),
  Same("v_proj", "value", "linear"),
  Same("o_proj", "output", "linear"),
  Same("relative_position_bias", "", "relative_bias", output=False),
  Same(":0", ""),
)
_MLP = tuple(dataclasses.replace(row, layout=_ROWS) for row in MLP)
_BLOCK = (
  Same("layernorm_before", "attention_norm", "norm", _ROWS),
  *under("attention", "attention", _ATTENTION),
  Same("layernorm_after", "mlp_norm", "norm", _ROWS),
  *under("mlp", "mlp", _MLP),
  Same(":0", "", layout=_ROWS),
)
_MERGING = (
  Same("norm", "norm", "norm", _ROWS),
  Same("reduction", "reduction", "linear_no_bias", _ROWS),
  Same("", "", layout=_ROWS),
)
_BACKBONE = (
  Same("swin.embeddings.patch_embeddings.projection", "embedding/projection", "conv"),
  Same("swin.embeddings.norm", "embedding/norm", "norm", _ROWS),
  Same("swin.embeddings:0", "embedding", layout=_ROWS),
  *under("swin.encoder.layers.{s}.blocks.{i}", "stage{s}/block{i}", _BLOCK),
  *under("swin.encoder.layers.0.downsample", "merge1", _MERGING),
  Same("hidden_states_norms.stage1", "norm0", "norm", _ROWS),
  Same("hidden_states_norms.stage2", "norm1", "norm", _ROWS),
  Same(":feature_maps.{i}", ":{i}"),
)
_BLOCK_EXCUSES = {
  "attention.relative_position_bias": "a step inside our attention; its table is ours",
  "mlp.activation_fn": ACTIVATION_INSIDE,
  "drop_path": "an identity: nothing is dropped",
  "dropout": "an identity: nothing is dropped",
  "dropout#1": "an identity: nothing is dropped",
}
_BACKBONE_EXCUSES = {
  "swin.embeddings.patch_embeddings:0": "the projection's output in rows",
  "swin.embeddings.dropout": "an identity: nothing is dropped",
  "swin.encoder.layers.{s}:{leaf}": "what its last block, or the merging, returns",
  "swin.encoder:{leaf*}": "hands on what its stages return",
  "swin:{leaf*}": "hands on what its encoder returns",
  "swin.layernorm": "no output of the backbone depends on it",
}
_UNUSED = Ignore("swin.layernorm.{name}", "no output of the backbone depends on it")


def _config(sizes: Sizes) -> SwinConfig:
  # Not "eager": that computes softmax in float32, whatever the model's dtype.
  stages = {"depths": [2, 2], "num_heads": list(sizes.heads), "window_size": sizes.window}
  features = {"out_features": ["stage1", "stage2"], "drop_path_rate": 0.0}
  return SwinConfig(embed_dim=sizes.width, **stages, **features, attn_implementation="sdpa")


def _batch(name: str, *shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
  """The first of `shapes` is the input's, the others are the targets'; [c, h, w] each."""
  names = [name, *(f"target{index}" for index in range(len(shapes) - 1))]
  return lambda generator: {
    name: generator.standard_normal([2, *shape]) for name, shape in zip(names, shapes, strict=True)
  }


def _rows(x: torch.Tensor) -> torch.Tensor:
  """[b, c, h, w] → [b, h · w, c]."""
  return x.flatten(2).transpose(1, 2)


def _maps(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
  """[b, h · w, c] → [b, c, h, w]."""
  return x.transpose(1, 2).unflatten(2, (height, width))


def swin_block(sizes: Sizes = SIZES) -> Block:
  """One block with shifted windows."""
  width, grid, shift = sizes.width, sizes.grid, sizes.window // 2
  return Block(
    name="swin_block",
    module=lambda: SwinLayer(_config(sizes), width, grid, sizes.heads[0], shift_size=shift),
    layer=lambda: SwinBlock(width, sizes.heads[0], sizes.window, shift),
    forward=lambda module, batch: _maps(module(_rows(batch["features"]), grid)[0], *grid),
    call=lambda layer, batch, training: layer(batch["features"]),
    table=_BLOCK,
    batch=_batch("features", (width, *grid), (width, *grid)),
    losses=regression(1),
    trained=True,
    excuses=excuses("", _BLOCK_EXCUSES),
  )


def patch_merging(sizes: Sizes = SIZES) -> Block:
  """Four pixels into one."""
  width, grid = sizes.width, sizes.odd_grid
  return Block(
    name="patch_merging",
    module=lambda: SwinPatchMerging(width),
    layer=PatchMerging,
    forward=lambda module, batch: _maps(module(_rows(batch["features"]), grid), *halves(grid)),
    call=lambda layer, batch, training: layer(batch["features"]),
    table=_MERGING,
    batch=_batch("features", (width, *grid), (2 * width, *halves(grid))),
    losses=regression(1),
  )


def swin(sizes: Sizes = SIZES) -> Block:
  """A backbone: embedding, two stages of two blocks, merging between them."""
  patches = -(-sizes.image[0] // 4), -(-sizes.image[1] // 4)
  return Block(
    name="swin",
    module=lambda: SwinBackbone(_config(sizes)),
    layer=lambda: Swin(sizes.width, (2, 2), sizes.heads, sizes.window),
    forward=lambda module, batch: module(batch["image"]).feature_maps,
    call=lambda layer, batch, training: layer(batch["image"], training=training),
    table=_BACKBONE,
    batch=_batch(
      "image",
      (3, *sizes.image),
      (sizes.width, *patches),
      (2 * sizes.width, *halves(patches)),
    ),
    losses=regression(2),
    ignored=(_UNUSED,),
    excuses=(
      *excuses("swin.encoder.layers.{s}.blocks.{i}", _BLOCK_EXCUSES),
      *excuses("", _BACKBONE_EXCUSES),
      Excuse("output/stage{s}", "ours alone: what its last block returns"),
    ),
  )
