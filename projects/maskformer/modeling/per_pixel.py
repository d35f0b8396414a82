"""The paper's baselines, which classify pixels (Cheng et al. 2021, sec. 4.1).

PerPixelBaseline projects pixel embeddings to classes. PerPixelBaseline+ has MaskFormer's
transformer decoder with as many queries as classes: query i's mask is the logits of class i.
"""

from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.convolution import Conv2D
from official.layers.precision import wide
from projects.maskformer.modeling.heads import MlpHead, mask_logits
from projects.maskformer.modeling.initializers import msra
from projects.maskformer.modeling.maskformer import Outputs, predict
from projects.maskformer.modeling.parts import Parts
from projects.maskformer.modeling.pixel_decoders.fpn import PixelDecoder
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class PerPixelHead(tf_keras.layers.Layer):
  """Pixel embeddings [b, h, w, c] → semantic_logits [b, h, w, classes].

  Args:
    num_classes: classes.
  """

  def __init__(self, num_classes: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.num_classes = num_classes
    self.classes = Conv2D(num_classes, 1, kernel_initializer=msra(), name="classes")

  def call(self, pixels: tf.Tensor) -> tf.Tensor:
    return self.classes(pixels)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"num_classes": self.num_classes}


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class QueryPerClassHead(tf_keras.layers.Layer):
  """Queries [b, q, c] and pixels [b, h, w, mask_width] → {"semantic_logits": [b, q, h, w]}.

  Args:
    hidden: channels inside the mask MLP.
    mask_width: channels of the pixel embedding.
  """

  def __init__(self, hidden: int, mask_width: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"hidden": hidden, "mask_width": mask_width}
    self.mask_embedding = MlpHead(hidden, mask_width, name="mask_embedding")

  def call(self, queries: tf.Tensor, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"semantic_logits": mask_logits(self.mask_embedding(queries), pixels)}

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class PerPixel(Parts):
  """PerPixelBaseline: image [b, h, w, 3] → semantic_logits [b, h / 4, w / 4, classes].

  Args:
    backbone: image → features, finest first.
    pixel_decoder: features → pixel embeddings.
    heads: pixel embeddings → logits.
  """

  def __init__(
    self,
    backbone: tf_keras.layers.Layer,
    pixel_decoder: PixelDecoder,
    heads: PerPixelHead,
    **kwargs: Any,
  ) -> None:
    parts = {"backbone": backbone, "pixel_decoder": pixel_decoder, "heads": heads}
    super().__init__(parts, **kwargs)

  def call(self, inputs: tf.Tensor, training: bool = False) -> Outputs:
    features = self.backbone(inputs, training=training)
    logits = self.heads(self.pixel_decoder(features))
    return {"semantic_logits": wide(logits)}


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class PerPixelPlus(Parts):
  """PerPixelBaseline+: image [b, h, w, 3] → semantic_logits [b, h / 4, w / 4, queries].

  Args:
    backbone: image → features, finest first.
    pixel_decoder: features → pixel embeddings.
    decoder: the coarsest feature → queries, one for each class.
    heads: queries and pixel embeddings → logits.
  """

  def __init__(
    self,
    backbone: tf_keras.layers.Layer,
    pixel_decoder: PixelDecoder,
    decoder: TransformerDecoder,
    heads: QueryPerClassHead,
    **kwargs: Any,
  ) -> None:
    parts = {"backbone": backbone, "pixel_decoder": pixel_decoder, "decoder": decoder}
    super().__init__(parts | {"heads": heads}, **kwargs)

  def call(
    self, inputs: tf.Tensor, training: bool = False, auxiliary: bool | None = None
  ) -> Outputs:
    """Logits, and `auxiliary` ones as `MaskFormer`, whose arguments these are."""
    features = self.backbone(inputs, training=training)
    queries = self.decoder(features[-1], training=training)
    pixels = self.pixel_decoder(features)
    outputs = predict(self.heads, queries, pixels, training if auxiliary is None else auxiliary)
    last = _classes_last(outputs)
    if "auxiliary" in outputs:
      last["auxiliary"] = [_classes_last(each) for each in outputs["auxiliary"]]
    return last


def _classes_last(outputs: Outputs) -> Outputs:
  return {"semantic_logits": tf.transpose(outputs["semantic_logits"], [0, 2, 3, 1])}
