"""MaskFormer's transformer module: projection, positions, queries and two decoder layers."""

from transformers.models.maskformer.configuration_maskformer import MaskFormerConfig
from transformers.models.maskformer.modeling_maskformer import MaskFormerTransformerModule

from benchmarks.parity.cases.block import Block, regression
from benchmarks.parity.cases.resnet import resnet_config
from benchmarks.parity.cases.transformer import (
  ACTIVATION_INSIDE,
  DECODER_LAYER,
  SIZES,
  detr_config,
)
from official.parity.case import Excuse
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder
from projects.maskformer.reference.correspondence import Same, excuses, under

QUERIES, DEPTH = 7, 2

DECODER = (
  Same("input_projection", "projection", "conv"),
  Same("position_embedder", "positions"),
  Same("queries_embedder", "", "query_positions", output=False),
  *under("decoder.layers.{i}", "layer{i}", DECODER_LAYER),
  Same("decoder.layernorm", "norm", "norm"),
)


def decoder_excuses(prefix: str) -> tuple[Excuse, ...]:
  """Of a transformer module whose modules are under `prefix`."""
  module = f"{prefix}." if prefix else ""
  return (
    *excuses(f"{module}decoder.layers.{{i}}", {"mlp.activation_fn": ACTIVATION_INSIDE}),
    *excuses(prefix, {"decoder:last_hidden_state": "hands on what its normalization returns"}),
  )


def maskformer_config() -> MaskFormerConfig:
  """A small MaskFormer on a small ResNet."""
  return MaskFormerConfig(
    backbone_config=resnet_config(),
    decoder_config=detr_config(num_queries=QUERIES, decoder_layers=DEPTH),
    fpn_feature_size=64,
    mask_feature_size=20,
    num_labels=5,
  )


def transformer() -> TransformerDecoder:
  """Ours, of the sizes of `maskformer_config`."""
  return TransformerDecoder(SIZES.width, SIZES.heads, SIZES.hidden, DEPTH, QUERIES, name="decoder")


def transformer_decoder(features: tuple[int, int, int] = (20, 3, 5)) -> Block:
  """Queries look at features, [c, h, w], twice."""
  return Block(
    name="transformer_decoder",
    module=lambda: MaskFormerTransformerModule(features[0], maskformer_config()),
    layer=transformer,
    forward=lambda module, batch: module(batch["features"]).last_hidden_state,
    call=lambda layer, batch, training: layer(batch["features"]),
    table=(*DECODER, Same(":last_hidden_state", "")),
    batch=lambda generator: {
      "features": generator.standard_normal([2, *features]),
      "target0": generator.standard_normal([2, QUERIES, SIZES.width]),
    },
    losses=regression(1),
    trained=True,
    excuses=decoder_excuses(""),
  )
