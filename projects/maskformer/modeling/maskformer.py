"""MaskFormer: backbone → pixel and transformer decoders → heads (Cheng et al. 2021, fig. 2)."""

from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.precision import wide
from projects.maskformer.modeling.heads import MaskHeads
from projects.maskformer.modeling.parts import Parts
from projects.maskformer.modeling.pixel_decoders.fpn import PixelDecoder
from projects.maskformer.modeling.pixel_decoders.transformer_encoder import TransformerEncoder
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder

Outputs = dict[str, Any]


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class MaskFormer(Parts):
  """Masks, and a class for each.

  Args:
    backbone: image → features, finest first.
    pixel_decoder: features → pixel embeddings.
    decoder: the coarsest feature → queries.
    heads: queries and pixel embeddings → outputs.
    encoder: of the coarsest feature, before anything else looks at it; None: there is none.
  """

  def __init__(
    self,
    backbone: tf_keras.layers.Layer,
    pixel_decoder: PixelDecoder,
    decoder: TransformerDecoder,
    heads: MaskHeads,
    encoder: TransformerEncoder | None = None,
    **kwargs: Any,
  ) -> None:
    parts = {"backbone": backbone, "encoder": encoder, "pixel_decoder": pixel_decoder}
    super().__init__(parts | {"decoder": decoder, "heads": heads}, **kwargs)

  def call(
    self, inputs: tf.Tensor, training: bool = False, auxiliary: bool | None = None
  ) -> Outputs:
    """Runs the network.

    Args:
      inputs: [b, h, w, 3] images, normalized; h and w are static.
      training: whether dropout drops, and normalizations that train use the batch's statistics.
      auxiliary: whether to predict from each decoder layer; None: in training. Needs a decoder that
        returns its intermediate queries.

    Returns:
      class_logits [b, q, classes + 1], mask_logits [b, q, h / 4, w / 4], and, if the decoder is
      such a one and they are wanted, `auxiliary`: the same two of every layer but the last, first
      layer first. At least float32.
    """
    features = list(self.backbone(inputs, training=training))
    if self.encoder:
      features[-1] = self.encoder(features[-1], training=training)
    queries = self.decoder(features[-1], training=training)
    pixels = self.pixel_decoder(features)
    return predict(self.heads, queries, pixels, training if auxiliary is None else auxiliary)


def predict(
  heads: tf_keras.layers.Layer,
  queries: tf.Tensor | list[tf.Tensor],
  pixels: tf.Tensor,
  auxiliary: bool,
) -> Outputs:
  """Outputs of all decoder layers that are wanted, in one pass of the heads.

  Args:
    heads: (queries, pixels) → {name: [b, q, …]}.
    queries: of the last layer, [b, q, c], or of each.
    pixels: [b, h, w, c].
    auxiliary: whether those of layers before the last are wanted.
  """
  layers = queries if isinstance(queries, list) else [queries]
  if not auxiliary:
    layers = layers[-1:]
  outputs = {name: wide(x) for name, x in heads(tf.concat(layers, axis=1), pixels).items()}
  if len(layers) == 1:
    return outputs
  apart = {name: tf.split(x, len(layers), axis=1) for name, x in outputs.items()}
  *earlier, last = ({name: x[i] for name, x in apart.items()} for i in range(len(layers)))
  return last | {"auxiliary": earlier}
