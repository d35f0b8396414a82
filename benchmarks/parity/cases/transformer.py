"""DETR's attention, encoder layer and decoder layer."""

import numpy as np
import torch
from transformers.models.detr import modeling_detr
from transformers.models.detr.configuration_detr import DetrConfig
from transformers.models.maskformer import modeling_maskformer
from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

from benchmarks.parity.blocks.attention import Attention
from benchmarks.parity.blocks.transformer import DecoderLayer, EncoderLayer
from benchmarks.parity.cases.block import Block, regression
from benchmarks.parity.cases.correspondence import Same, excuses, under
from official.parity.case import Arrays, Excuse

WIDTH, HEADS, HIDDEN = 24, 3, 40
_BATCH, _QUERIES, _MEMORY = 2, 5, 11

ATTENTION = (
  Same("q_proj", "query", "linear"),
  Same("k_proj", "key", "linear"),
  Same("v_proj", "value", "linear"),
  Same("o_proj", "output", "linear"),
  Same(":0", ""),
)
MLP = (Same("fc1", "expand", "linear"), Same("fc2", "reduce", "linear"), Same("", ""))
ENCODER_LAYER = (
  *under("self_attn", "attention", ATTENTION),
  Same("self_attn_layer_norm", "attention_norm", "norm"),
  *under("mlp", "mlp", MLP),
  Same("final_layer_norm", "mlp_norm", "norm"),
  Same("", ""),
)
DECODER_LAYER = (
  *under("self_attn", "self_attention", ATTENTION),
  Same("self_attn_layer_norm", "self_attention_norm", "norm"),
  *under("encoder_attn", "cross_attention", ATTENTION),
  Same("encoder_attn_layer_norm", "cross_attention_norm", "norm"),
  *under("mlp", "mlp", MLP),
  Same("final_layer_norm", "mlp_norm", "norm"),
  Same("", ""),
)
WEIGHTS_UNSEEN = "attention weights; ours returns what they make of the values"
ACTIVATION_INSIDE = "inside our MLP, and seen through its projections"
ENCODER_EXCUSES = {"self_attn:1": WEIGHTS_UNSEEN, "mlp.activation_fn": ACTIVATION_INSIDE}
DECODER_EXCUSES = ENCODER_EXCUSES | {"encoder_attn:1": WEIGHTS_UNSEEN}


def detr_config(**changes: object) -> MaskFormerDetrConfig:
  """A small DETR without dropout; attention in the model's own dtype."""
  sizes = {"d_model": WIDTH, "encoder_attention_heads": HEADS, "decoder_attention_heads": HEADS}
  hidden = {"encoder_ffn_dim": HIDDEN, "decoder_ffn_dim": HIDDEN}
  quiet = {"dropout": 0.0, "attn_implementation": "eager", "use_timm_backbone": False}
  return MaskFormerDetrConfig(**sizes | hidden | quiet | changes)


def additive(valid: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
  """[b, k] bool → what DETR adds to scores: [b, 1, 1, k]."""
  lowest = torch.finfo(like.dtype).min
  return torch.zeros_like(valid, dtype=like.dtype).masked_fill(~valid, lowest)[:, None, None]


def _lengths(valid: int, generator: np.random.Generator) -> np.ndarray:
  """[b, valid] bool: each image's last few are padding, not the same number in each."""
  lengths = generator.permutation(np.arange(valid - _BATCH, valid))[:, None]
  return np.arange(valid)[None] < lengths


def _attention_batch(generator: np.random.Generator) -> Arrays:
  return {
    "queries": generator.standard_normal([_BATCH, _QUERIES, WIDTH]),
    "memory": generator.standard_normal([_BATCH, _MEMORY, WIDTH]),
    "positions": generator.standard_normal([_BATCH, _QUERIES, WIDTH]),
    "memory_positions": generator.standard_normal([_BATCH, _MEMORY, WIDTH]),
    "valid": _lengths(_MEMORY, generator),
    "target0": generator.standard_normal([_BATCH, _QUERIES, WIDTH]),
  }


def _encoder_batch(generator: np.random.Generator) -> Arrays:
  return {
    "memory": generator.standard_normal([_BATCH, _MEMORY, WIDTH]),
    "memory_positions": generator.standard_normal([_BATCH, _MEMORY, WIDTH]),
    "valid": _lengths(_MEMORY, generator),
    "target0": generator.standard_normal([_BATCH, _MEMORY, WIDTH]),
  }


ATTENTION_BLOCK = Block(
  name="attention",
  module=lambda: modeling_maskformer.MaskFormerDetrCrossAttention(detr_config(), WIDTH, HEADS),
  layer=lambda: Attention(WIDTH, HEADS),
  forward=lambda module, batch: module(
    batch["queries"],
    batch["memory"],
    attention_mask=additive(batch["valid"], batch["queries"]),
    position_embeddings=batch["positions"],
    encoder_position_embeddings=batch["memory_positions"],
  )[0],
  call=lambda layer, batch, training: layer(
    batch["queries"],
    batch["memory"],
    batch["positions"],
    batch["memory_positions"],
    batch["valid"],
  ),
  table=ATTENTION,
  batch=_attention_batch,
  losses=regression(1),
  excuses=(Excuse("output/(model):1", WEIGHTS_UNSEEN),),
)

ENCODER_BLOCK = Block(
  name="encoder_layer",
  module=lambda: modeling_detr.DetrEncoderLayer(
    DetrConfig(**detr_config().to_dict() | {"attn_implementation": "eager"})
  ),
  layer=lambda: EncoderLayer(WIDTH, HEADS, HIDDEN),
  forward=lambda module, batch: module(
    batch["memory"],
    additive(batch["valid"], batch["memory"]),
    spatial_position_embeddings=batch["memory_positions"],
  ),
  call=lambda layer, batch, training: layer(
    batch["memory"], batch["memory_positions"], batch["valid"]
  ),
  table=ENCODER_LAYER,
  batch=_encoder_batch,
  losses=regression(1),
  excuses=excuses("", ENCODER_EXCUSES),
)

DECODER_BLOCK = Block(
  name="decoder_layer",
  module=lambda: modeling_maskformer.MaskFormerDetrDecoderLayer(detr_config()),
  layer=lambda: DecoderLayer(WIDTH, HEADS, HIDDEN),
  forward=lambda module, batch: module(
    batch["queries"],
    spatial_position_embeddings=batch["memory_positions"],
    object_queries_position_embeddings=batch["positions"],
    encoder_hidden_states=batch["memory"],
    encoder_attention_mask=additive(batch["valid"], batch["queries"]),
  ),
  call=lambda layer, batch, training: layer(
    batch["queries"],
    batch["memory"],
    batch["positions"],
    batch["memory_positions"],
    batch["valid"],
  ),
  table=DECODER_LAYER,
  batch=_attention_batch,
  losses=regression(1),
  excuses=excuses("", DECODER_EXCUSES),
)
