"""Swin: one shifted block, patch merging, and a backbone of two stages."""

import dataclasses
from collections.abc import Callable

import torch
from transformers.models.swin.configuration_swin import SwinConfig
from transformers.models.swin.modeling_swin import SwinBackbone, SwinLayer, SwinPatchMerging

from benchmarks.parity.blocks.patches import PatchMerging
from benchmarks.parity.blocks.swin import SwinBlock
from benchmarks.parity.blocks.swin_backbone import Swin
from benchmarks.parity.cases.block import Block, regression
from benchmarks.parity.cases.correspondence import Same, excuses, under
from benchmarks.parity.cases.transformer import ACTIVATION_INSIDE, MLP
from official.checkpoints.rules import Ignore
from official.parity.case import Arrays

WIDTH, WINDOW, HEADS = 12, 4, (2, 3)
_GRID = (7, 10)  # Neither side divides into windows.
_ODD_GRID = (5, 8)
_IMAGE = (30, 37)  # 8 × 10 patches, then 4 × 5.

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
  Same("swin.encoder.layers.{s}:1", "stage{s}"),
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
  "swin.encoder.layers.{s}:0": "what the merging, or the last block, returns",
  "swin.encoder:{leaf*}": "hands on what its stages return",
  "swin:{leaf*}": "hands on what its encoder returns",
  "swin.layernorm": "no output of the backbone depends on it",
}
_UNUSED = Ignore("swin.layernorm.{name}", "no output of the backbone depends on it")


def _config() -> SwinConfig:
  # Not "eager": that computes softmax in float32, whatever the model's dtype.
  sizes = {"embed_dim": WIDTH, "depths": [2, 2], "num_heads": list(HEADS), "window_size": WINDOW}
  features = {"out_features": ["stage1", "stage2"], "drop_path_rate": 0.0}
  return SwinConfig(**sizes, **features, attn_implementation="sdpa")


def _grid_batch(grid: tuple[int, int], output: tuple[int, ...]) -> Callable[..., Arrays]:
  return lambda generator: {
    "features": generator.standard_normal([2, WIDTH, *grid]),
    "target0": generator.standard_normal([2, *output]),
  }


def _rows(x: torch.Tensor) -> torch.Tensor:
  """[b, c, h, w] → [b, h · w, c]."""
  return x.flatten(2).transpose(1, 2)


def _maps(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
  """[b, h · w, c] → [b, c, h, w]."""
  return x.transpose(1, 2).unflatten(2, (height, width))


SWIN_BLOCK = Block(
  name="swin_block",
  module=lambda: SwinLayer(_config(), WIDTH, _GRID, HEADS[0], shift_size=WINDOW // 2),
  layer=lambda: SwinBlock(WIDTH, HEADS[0], WINDOW, WINDOW // 2),
  forward=lambda module, batch: _maps(module(_rows(batch["features"]), _GRID)[0], *_GRID),
  call=lambda layer, batch, training: layer(batch["features"]),
  table=_BLOCK,
  batch=_grid_batch(_GRID, (WIDTH, *_GRID)),
  losses=regression(1),
  excuses=excuses("", _BLOCK_EXCUSES),
)

MERGING_BLOCK = Block(
  name="patch_merging",
  module=lambda: SwinPatchMerging(WIDTH),
  layer=PatchMerging,
  forward=lambda module, batch: _maps(module(_rows(batch["features"]), _ODD_GRID), 3, 4),
  call=lambda layer, batch, training: layer(batch["features"]),
  table=_MERGING,
  batch=_grid_batch(_ODD_GRID, (2 * WIDTH, 3, 4)),
  losses=regression(1),
)

SWIN = Block(
  name="swin",
  module=lambda: SwinBackbone(_config()),
  layer=lambda: Swin(WIDTH, (2, 2), HEADS, WINDOW),
  forward=lambda module, batch: module(batch["image"]).feature_maps,
  call=lambda layer, batch, training: layer(batch["image"]),
  table=_BACKBONE,
  batch=lambda generator: {
    "image": generator.standard_normal([2, 3, *_IMAGE]),
    "target0": generator.standard_normal([2, WIDTH, 8, 10]),
    "target1": generator.standard_normal([2, 2 * WIDTH, 4, 5]),
  },
  losses=regression(2),
  trained=True,
  ignored=(_UNUSED,),
  excuses=(
    *excuses("swin.encoder.layers.{s}.blocks.{i}", _BLOCK_EXCUSES),
    *excuses("", _BACKBONE_EXCUSES),
  ),
)
