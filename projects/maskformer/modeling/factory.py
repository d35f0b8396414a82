"""From configuration to network."""

import tf_keras

from projects.maskformer.configs.model import Model
from projects.maskformer.modeling.backbones.resnet import ResNet
from projects.maskformer.modeling.backbones.swin import Swin
from projects.maskformer.modeling.heads import MaskHeads
from projects.maskformer.modeling.maskformer import MaskFormer
from projects.maskformer.modeling.parts import Parts
from projects.maskformer.modeling.per_pixel import (
  PerPixel,
  PerPixelHead,
  PerPixelPlus,
  QueryPerClassHead,
)
from projects.maskformer.modeling.pixel_decoders.fpn import PixelDecoder
from projects.maskformer.modeling.pixel_decoders.transformer_encoder import TransformerEncoder
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder
from projects.maskformer.modeling.variants import SwinSizes, Variant, get_variant

_SIZE = 64  # Of the image that variables are made with: they are the same for every size.


def build_maskformer(config: Model) -> Parts:
  """The network that `config` describes, with its variables made.

  Raises:
    UserError: unknown variant.
  """
  variant = get_variant(config.variant)
  build = {"mask": _mask, "per_pixel": _per_pixel, "per_pixel_plus": _per_pixel_plus}[variant.kind]
  model = build(variant, config)
  model(tf_keras.Input([_SIZE, _SIZE, 3], dtype=model.variable_dtype))
  return model


def _mask(variant: Variant, config: Model) -> MaskFormer:
  encoder = None
  if variant.encoder_layers:
    sizes = (variant.width, variant.heads, variant.hidden, variant.encoder_layers)
    encoder = TransformerEncoder(*sizes, config.dropout, name="encoder")
  return MaskFormer(
    build_backbone(variant, config),
    _pixel_decoder(variant),
    _decoder(variant, config, variant.queries),
    MaskHeads(config.num_classes, variant.width, variant.width, name="heads"),
    encoder,
  )


def _per_pixel(variant: Variant, config: Model) -> PerPixel:
  heads = PerPixelHead(config.num_classes, name="heads")
  return PerPixel(build_backbone(variant, config), _pixel_decoder(variant), heads)


def _per_pixel_plus(variant: Variant, config: Model) -> PerPixelPlus:
  return PerPixelPlus(
    build_backbone(variant, config),
    _pixel_decoder(variant),
    _decoder(variant, config, config.num_classes),
    QueryPerClassHead(variant.width, variant.width, name="heads"),
  )


def build_backbone(variant: Variant, config: Model) -> tf_keras.layers.Layer:
  """The variant's backbone: image → features, finest first."""
  sizes = vars(variant.backbone)
  if isinstance(variant.backbone, SwinSizes):
    return Swin(**sizes, rate=config.drop_path, name="backbone")
  return ResNet(**sizes, frozen=config.frozen_norm, name="backbone")


def _pixel_decoder(variant: Variant) -> PixelDecoder:
  levels = len(variant.backbone.depths)
  return PixelDecoder(variant.width, variant.width, levels, name="pixel_decoder")


def _decoder(variant: Variant, config: Model, queries: int) -> TransformerDecoder:
  return TransformerDecoder(
    variant.width,
    variant.heads,
    variant.hidden,
    variant.decoder_layers,
    queries,
    config.dropout,
    config.deep_supervision,
    name="decoder",
  )
