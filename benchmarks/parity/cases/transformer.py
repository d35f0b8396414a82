"""DETR's attention, encoder layer and decoder layer."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras
import torch
from transformers.models.detr import modeling_detr
from transformers.models.detr.configuration_detr import DetrConfig
from transformers.models.maskformer import modeling_maskformer
from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

from benchmarks.parity.cases.block import Block, regression
from official.parity.case import Arrays, Excuse
from projects.maskformer.modeling.attention import Attention
from projects.maskformer.modeling.transformer import DecoderLayer, EncoderLayer
from projects.maskformer.reference.correspondence import Same, excuses, under

_BATCH = 2


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Of a layer and what it is given.

  Attributes:
    width: channels.
    heads: of every attention.
    hidden: channels inside the MLP.
    queries: how many.
    memory: how many tokens the queries look at.
  """

  width: int = 24
  heads: int = 3
  hidden: int = 40
  queries: int = 5
  memory: int = 11


SIZES = Sizes()

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


def detr_config(sizes: Sizes = SIZES, **changes: object) -> MaskFormerDetrConfig:
  """A small DETR without dropout; attention in the model's own dtype."""
  heads = {"encoder_attention_heads": sizes.heads, "decoder_attention_heads": sizes.heads}
  hidden = {"encoder_ffn_dim": sizes.hidden, "decoder_ffn_dim": sizes.hidden}
  quiet = {"dropout": 0.0, "attn_implementation": "eager", "use_timm_backbone": False}
  return MaskFormerDetrConfig(d_model=sizes.width, **heads | hidden | quiet | changes)


def additive(valid: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
  """[b, k] bool → what DETR adds to scores: [b, 1, 1, k]."""
  lowest = torch.finfo(like.dtype).min
  return torch.zeros_like(valid, dtype=like.dtype).masked_fill(~valid, lowest)[:, None, None]


def _lengths(valid: int, generator: np.random.Generator) -> np.ndarray:
  """[b, valid] bool: each image's last few are padding, not the same number in each."""
  lengths = generator.permutation(np.arange(valid - _BATCH, valid))[:, None]
  return np.arange(valid)[None] < lengths


def _batch(sizes: Sizes, generator: np.random.Generator) -> Arrays:
  queries, memory = (
    [_BATCH, sizes.queries, sizes.width],
    [_BATCH, sizes.memory, sizes.width],
  )
  return {
    "queries": generator.standard_normal(queries),
    "memory": generator.standard_normal(memory),
    "positions": generator.standard_normal(queries),
    "memory_positions": generator.standard_normal(memory),
    "valid": _lengths(sizes.memory, generator),
    "target0": generator.standard_normal(queries),
  }


def _encoder_batch(sizes: Sizes, generator: np.random.Generator) -> Arrays:
  batch = _batch(dataclasses.replace(sizes, queries=sizes.memory), generator)
  return {name: batch[name] for name in ("memory", "memory_positions", "valid", "target0")}


def attention(sizes: Sizes = SIZES) -> Block:
  """Queries look at a memory, parts of which are padding."""
  width, heads = sizes.width, sizes.heads
  return Block(
    name="attention",
    module=lambda: modeling_maskformer.MaskFormerDetrCrossAttention(
      detr_config(sizes), width, heads
    ),
    layer=lambda: Attention(width, heads),
    forward=lambda module, batch: module(
      batch["queries"],
      batch["memory"],
      attention_mask=additive(batch["valid"], batch["queries"]),
      position_embeddings=batch["positions"],
      encoder_position_embeddings=batch["memory_positions"],
    )[0],
    call=_call_with_queries,
    table=ATTENTION,
    batch=functools.partial(_batch, sizes),
    losses=regression(1),
    excuses=(Excuse("output/(model):1", WEIGHTS_UNSEEN),),
  )


def encoder_layer(sizes: Sizes = SIZES) -> Block:
  """A memory looks at itself."""
  config = detr_config(sizes).to_dict() | {"attn_implementation": "eager"}
  return Block(
    name="encoder_layer",
    module=lambda: modeling_detr.DetrEncoderLayer(DetrConfig(**config)),
    layer=lambda: EncoderLayer(sizes.width, sizes.heads, sizes.hidden),
    forward=lambda module, batch: module(
      batch["memory"],
      additive(batch["valid"], batch["memory"]),
      spatial_position_embeddings=batch["memory_positions"],
    ),
    call=lambda layer, batch, training: layer(
      batch["memory"], batch["memory_positions"], batch["valid"]
    ),
    table=ENCODER_LAYER,
    batch=functools.partial(_encoder_batch, sizes),
    losses=regression(1),
    excuses=excuses("", ENCODER_EXCUSES),
  )


def decoder_layer(sizes: Sizes = SIZES) -> Block:
  """Queries look at each other, then at a memory."""
  return Block(
    name="decoder_layer",
    module=lambda: modeling_maskformer.MaskFormerDetrDecoderLayer(detr_config(sizes)),
    layer=lambda: DecoderLayer(sizes.width, sizes.heads, sizes.hidden),
    forward=lambda module, batch: module(
      batch["queries"],
      spatial_position_embeddings=batch["memory_positions"],
      object_queries_position_embeddings=batch["positions"],
      encoder_hidden_states=batch["memory"],
      encoder_attention_mask=additive(batch["valid"], batch["queries"]),
    ),
    call=_call_with_queries,
    table=DECODER_LAYER,
    batch=functools.partial(_batch, sizes),
    losses=regression(1),
    excuses=excuses("", DECODER_EXCUSES),
  )


def _call_with_queries(
  layer: tf_keras.layers.Layer, batch: Mapping[str, tf.Tensor], training: bool
) -> tf.Tensor:
  del training  # Nothing here trains otherwise than it runs.
  return layer(
    batch["queries"],
    batch["memory"],
    batch["positions"],
    batch["memory_positions"],
    batch["valid"],
  )
