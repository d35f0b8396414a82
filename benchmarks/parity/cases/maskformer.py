"""The whole MaskFormer on a small ResNet, with its losses on given matches."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from transformers.models.maskformer.modeling_maskformer import MaskFormerForInstanceSegmentation

from benchmarks.parity.blocks.losses import maskformer_losses
from benchmarks.parity.cases import pixel_decoder, resnet
from benchmarks.parity.cases.block import Block
from benchmarks.parity.cases.decoder import (
  DECODER,
  QUERIES,
  decoder_excuses,
  maskformer_config,
  transformer,
)
from benchmarks.parity.cases.heads import EXCUSES as HEAD_EXCUSES
from benchmarks.parity.cases.heads import MLP_HEAD
from benchmarks.parity.cases.transformer import SIZES
from official.checkpoints.rules import Ignore
from official.parity.case import Arrays, Excuse
from projects.maskformer.modeling.backbones.resnet import ResNet
from projects.maskformer.modeling.heads import MaskHeads
from projects.maskformer.modeling.maskformer import MaskFormer
from projects.maskformer.modeling.pixel_decoders.fpn import PixelDecoder
from projects.maskformer.reference.correspondence import Same, excuses, under

CLASSES, OBJECTS = 5, 3

_TABLE = (
  *under("model.pixel_level_module.encoder", "backbone", resnet.BACKBONE),
  Same("model.pixel_level_module.encoder:feature_maps.{i}", "backbone:{i}"),
  *under("model.pixel_level_module.decoder", "pixel_decoder", pixel_decoder.PIXEL_DECODER),
  Same("model.pixel_level_module.decoder:last_hidden_state", "pixel_decoder"),
  *under("model.transformer_module", "decoder", DECODER),
  Same("model.transformer_module:last_hidden_state", "decoder"),
  Same("class_predictor", "heads/classes", "linear"),
  *under("mask_embedder", "heads/mask_embedding", MLP_HEAD),
  Same(":class_queries_logits", ":class_logits"),
  Same(":masks_queries_logits", ":mask_logits", layout="b q h w -> b q h w"),
)
_HANDS_ON = "hands on what its parts return"
_EXCUSES = (
  *resnet.backbone_excuses("model.pixel_level_module.encoder"),
  *excuses("model.pixel_level_module.decoder", pixel_decoder.EXCUSES),
  *decoder_excuses("model.transformer_module"),
  *excuses("mask_embedder", HEAD_EXCUSES),
  *excuses("model", {":{leaf*}": _HANDS_ON, "pixel_level_module:{leaf*}": _HANDS_ON}),
  Excuse("output/(model):{part}_last_hidden_state", _HANDS_ON),
  Excuse("output/heads:{leaf}", "ours alone: what the network returns"),
)


def _batch(image: tuple[int, int], generator: np.random.Generator) -> Arrays:
  """Images with three objects each, which are matched to queries already."""
  masks = np.zeros([2, OBJECTS, *image])
  for mask in masks.reshape(-1, *image):
    top, left = generator.integers(0, 15, 2)
    height, width = generator.integers(5, 12, 2)
    mask[top : top + height, left : left + width] = 1
  return {
    "image": generator.standard_normal([2, 3, *image]),
    "classes": generator.integers(0, CLASSES, [2, OBJECTS]),
    "masks": masks,
    "queries": np.stack([generator.permutation(QUERIES)[:OBJECTS] for _ in range(2)]),
  }


def _original_losses(
  module: MaskFormerForInstanceSegmentation, outputs: Any, batch: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
  labels, masks = list(batch["classes"]), list(batch["masks"])
  matches = [(queries, torch.arange(OBJECTS)) for queries in batch["queries"]]
  criterion = module.criterion
  count = criterion.get_num_masks(labels, labels[0].device)
  losses = criterion.loss_masks(outputs.masks_queries_logits, masks, matches, count)
  losses |= criterion.loss_labels(outputs.class_queries_logits, labels, matches)
  weights = module.weight_dict
  terms = {
    "class": weights["loss_cross_entropy"] * losses["loss_cross_entropy"],
    "mask": weights["loss_mask"] * losses["loss_mask"],
    "dice": weights["loss_dice"] * losses["loss_dice"],
  }
  return terms | {"total": sum(terms.values())}


def build() -> MaskFormer:
  """Ours, with random weights."""
  return MaskFormer(
    ResNet(resnet.STEM, resnet.FILTERS, resnet.DEPTHS, name="backbone"),
    PixelDecoder(pixel_decoder.WIDTH, pixel_decoder.MASK_WIDTH, 2, name="pixel_decoder"),
    transformer(),
    MaskHeads(CLASSES, SIZES.width, pixel_decoder.MASK_WIDTH, name="heads"),
  )


def maskformer(image: tuple[int, int] = resnet.IMAGE) -> Block:
  """The whole network."""
  return Block(
    name="maskformer",
    module=lambda: MaskFormerForInstanceSegmentation(maskformer_config()),
    layer=build,
    forward=lambda module, batch: module(batch["image"]),
    call=lambda layer, batch, training: layer(batch["image"], training=training),
    table=_TABLE,
    batch=functools.partial(_batch, image),
    losses=(_original_losses, maskformer_losses),
    batch_layouts={"masks": "b n h w -> b n h w"},
    trained=True,
    size=image,
    ignored=(Ignore("criterion.empty_weight", "a constant of our loss"),),
    excuses=_EXCUSES,
  )
