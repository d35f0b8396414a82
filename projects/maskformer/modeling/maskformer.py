"""MaskFormer: backbone → pixel and transformer decoders → heads (Cheng et al. 2021, fig. 2)."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.heads import MaskHeads
from projects.maskformer.modeling.pixel_decoders.fpn import PixelDecoder
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder


class MaskFormer(tf_keras.Model):
  """Image [b, h, w, 3] → class_logits [b, q, classes + 1], mask_logits [b, q, h / 4, w / 4].

  Args:
    backbone: image → features, finest first.
    pixel_decoder: features → pixel embeddings.
    decoder: the coarsest feature → queries.
    heads: queries and pixel embeddings → outputs.
  """

  def __init__(
    self,
    backbone: tf_keras.layers.Layer,
    pixel_decoder: PixelDecoder,
    decoder: TransformerDecoder,
    heads: MaskHeads,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    self.backbone = backbone
    self.pixel_decoder = pixel_decoder
    self.decoder = decoder
    self.heads = heads

  def call(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    features = self.backbone(inputs, training=training)
    return self.heads(self.decoder(features[-1]), self.pixel_decoder(features))
