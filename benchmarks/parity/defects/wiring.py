"""Layers put together otherwise: residuals, order, activations, biases, weights in other places."""

import math

import tensorflow as tf

from benchmarks.parity.defects.planting import at, exchanged, setting, transform, wrong
from official.layers.convolution import ConvNorm
from projects.maskformer.modeling.backbones.patches import PatchEmbedding
from projects.maskformer.modeling.backbones.resnet import Bottleneck, Stem
from projects.maskformer.modeling.backbones.swin import Swin
from projects.maskformer.modeling.backbones.swin_block import SwinBlock
from projects.maskformer.modeling.heads import MaskHeads, MlpHead
from projects.maskformer.modeling.position import flatten_pixels
from projects.maskformer.modeling.projection import Dense
from projects.maskformer.modeling.transformer import DecoderLayer, EncoderLayer
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder


class UnbiasedDense(Dense):
  """The bias is there and is not added."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return tf.matmul(inputs, self.kernel)


class BiasedTwice(Dense):
  """The bias is added here, and was by the layer already."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return super().call(inputs) + self.bias


class NoAttentionResidual(EncoderLayer):
  """What attention sees replaces its input."""

  def call(
    self,
    inputs: tf.Tensor,
    positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    x = self.attention_norm(self.attention(inputs, positions=positions, valid=valid))
    return self.mlp_norm(x + self.mlp(x))


class PreNormEncoder(EncoderLayer):
  """Normalized before attention and MLP, as newer transformers."""

  def call(
    self,
    inputs: tf.Tensor,
    positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    x = inputs + self.attention(self.attention_norm(inputs), positions=positions, valid=valid)
    return x + self.mlp(self.mlp_norm(x))


class PreNormDecoder(DecoderLayer):
  """Normalized before attentions and MLP."""

  def call(
    self,
    inputs: tf.Tensor,
    memory: tf.Tensor,
    positions: tf.Tensor | None = None,
    memory_positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    x = inputs + self.self_attention(self.self_attention_norm(inputs), positions=positions)
    x = x + self.cross_attention(
      self.cross_attention_norm(x),
      memory,
      positions=positions,
      memory_positions=memory_positions,
      valid=valid,
    )
    return x + self.mlp(self.mlp_norm(x))


class NoMlpResidual(DecoderLayer):
  """The MLP's output alone is normalized."""

  def call(
    self,
    inputs: tf.Tensor,
    memory: tf.Tensor,
    positions: tf.Tensor | None = None,
    memory_positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    x = self.self_attention_norm(inputs + self.self_attention(inputs, positions=positions))
    seen = self.cross_attention(
      x, memory, positions=positions, memory_positions=memory_positions, valid=valid
    )
    x = self.cross_attention_norm(x + seen)
    return self.mlp_norm(self.mlp(x))


class NoShortcut(Bottleneck):
  """Where the shortcut is the input, it is forgotten."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = self.conv(self.reduce(inputs, training=training), training=training)
    x = self.expand(x, training=training)
    return tf.nn.relu(x + self.shortcut(inputs, training=training) if self.shortcut else x)


class NoWindowResidual(SwinBlock):
  """Attention's output replaces the block's input."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = self._attend(self.attention_norm(inputs))
    return x + self.mlp(self.mlp_norm(x))


class NormalizedResidual(SwinBlock):
  """The residual is taken behind the normalization."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    normalized = self.attention_norm(inputs)
    x = normalized + self._attend(normalized)
    return x + self.mlp(self.mlp_norm(x))


class QueriesBeforeNorm(TransformerDecoder):
  """The last layer's output is handed on, not the normalization's."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    queries = self._decode(inputs, training)[-1]
    self.norm(queries)
    return queries


class FeaturesBeforeNorm(Swin):
  """Features are what stages return, not what their normalizations do."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
    del training
    x = self.embedding(inputs)
    features = []
    for index, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
      x = stage(self.merges[index - 1](x) if index else x)
      norm(x)
      features.append(x)
    return features


class PositionsByColumns(TransformerDecoder):
  """Positions are flattened column by column, features row by row."""

  def _decode(self, inputs: tf.Tensor, training: bool) -> list[tf.Tensor]:
    memory = self.projection(inputs)
    batch, height, width, channels = memory.shape
    encoded = self.positions(tf.ones([batch, height, width], tf.bool))
    memory_positions = flatten_pixels(tf.transpose(encoded, [0, 2, 1, 3]))
    positions = tf.tile(self.query_positions[None], [batch, 1, 1])
    memory, x = flatten_pixels(memory), tf.zeros([batch, self.queries, channels], memory.dtype)
    for layer in self.layers:
      x = layer(x, memory, positions=positions, memory_positions=memory_positions)
    return [x]


class LinearHead(MlpHead):
  """No rectifier between the projections."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    x = inputs
    for projection in self.projections:
      x = projection(x)
    return x


class ReversedStem(Stem):
  """Images are turned to BGR, as other models want them."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    return super().call(inputs[..., ::-1], training=training)


class ScaledMasks(MaskHeads):
  """Mask logits divided by the root of the channels, as attention's scores are."""

  def call(self, queries: tf.Tensor, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
    outputs = super().call(queries, pixels)
    return outputs | {"mask_logits": outputs["mask_logits"] * pixels.shape[-1] ** -0.5}


class PriorOnClasses(MaskHeads):
  """The focal loss' prior is added to the logits, and not only where the bias starts."""

  def call(self, queries: tf.Tensor, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
    outputs = super().call(queries, pixels)
    return outputs | {"class_logits": outputs["class_logits"] + math.log(0.01 / 0.99)}


class ScaledEmbedding(PatchEmbedding):
  """Embeddings times the root of their width, as Vaswani et al. 2017 (sec. 3.4)."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return super().call(inputs) * math.sqrt(self.width)


class DroppingConvNorm(ConvNorm):
  """Dropout of a tenth after the activation."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = super().call(inputs, training=training)
    return tf.nn.dropout(x, 0.1) if training else x


def _tanh_gelu(x: tf.Tensor) -> tf.Tensor:
  return tf.nn.gelu(x, approximate=True)


_FIRST_LAYER = "model.transformer_module.decoder.layers.0"
_STEMS = {
  "stem/conv/conv": "embedder.embedder.convolution.weight",
  "embedding/projection": "swin.embeddings.patch_embeddings.projection.weight",
}


def _both(one: str, other: str) -> tuple[tuple[str, str], ...]:
  """Two modules' weights and biases."""
  return tuple((f"{one}.{name}", f"{other}.{name}") for name in ("weight", "bias"))


DEFECTS = (
  *at(
    "bias of a projection not added",
    "bias_missing",
    wrong(UnbiasedDense),
    ("attention", "output"),
    ("maskformer", "decoder/layer1/self_attention/query"),
  ),
  *at(
    "bias added twice",
    "bias_extra",
    wrong(BiasedTwice),
    ("mlp_head", "fc1"),
    ("transformer_decoder", "layer1/mlp/reduce"),
  ),
  *at(
    "no residual around attention",
    "residual_missing",
    wrong(NoAttentionResidual),
    ("encoder_layer", ""),
  ),
  *at(
    "no residual around the MLP",
    "residual_missing",
    wrong(NoMlpResidual),
    ("maskformer", "decoder/layer1"),
  ),
  *at(
    "no residual around a bottleneck",
    "residual_missing",
    wrong(NoShortcut),
    ("resnet", "stage0/block1"),
    ("resnet_stage", "block1"),
  ),
  *at(
    "no residual around window attention",
    "residual_missing",
    wrong(NoWindowResidual),
    ("swin_block", ""),
    ("swin", "stage1/block1"),
  ),
  *at(
    "residual behind the normalization",
    "residual_missing",
    wrong(NormalizedResidual),
    ("swin_block", ""),
    ("swin", "stage0/block0"),
  ),
  *at("normalized before, not after", "layer_order", wrong(PreNormEncoder), ("encoder_layer", "")),
  *at(
    "normalized before, not after",
    "layer_order",
    wrong(PreNormDecoder),
    ("maskformer", "decoder/layer0"),
  ),
  *at(
    "queries taken before the last LayerNorm",
    "tap_position",
    wrong(QueriesBeforeNorm),
    ("transformer_decoder", ""),
    ("maskformer", "decoder"),
  ),
  *at(
    "features taken before their LayerNorm", "tap_position", wrong(FeaturesBeforeNorm), ("swin", "")
  ),
  *at(
    "rectifier after a lateral convolution",
    "activation_other",
    setting(rectify=True),
    ("pixel_decoder", "step0/lateral"),
    ("maskformer", "pixel_decoder/step0/lateral"),
  ),
  *at(
    "rectifier left out of the pyramid",
    "activation_other",
    setting(rectify=False),
    ("pixel_decoder", "stem"),
    ("maskformer", "pixel_decoder/step0/smooth"),
  ),
  *at(
    "no rectifier in the head",
    "activation_other",
    wrong(LinearHead),
    ("mlp_head", ""),
    ("maskformer", "heads/mask_embedding"),
  ),
  *at(
    "GELU by tanh",
    "gelu_form",
    setting(activation=_tanh_gelu),
    ("swin_block", "mlp"),
    ("swin", "stage1/block0/mlp"),
  ),
  *at(
    "another activation in the MLP",
    "activation_other",
    setting(activation=tf.nn.silu),
    ("encoder_layer", "mlp"),
    ("swin", "stage0/block1/mlp"),
  ),
  *at(
    "another activation after a convolution",
    "activation_other",
    setting(activation=tf.nn.leaky_relu),
    ("resnet", "stage0/block0/reduce"),
    ("maskformer", "backbone/stem/conv"),
  ),
  *at(
    "two LayerNorms' weights exchanged",
    "weights_swapped",
    lambda layer: exchanged(*_both("self_attn_layer_norm", "final_layer_norm")),
    ("encoder_layer", "attention_norm"),
    ("decoder_layer", "self_attention_norm"),
  ),
  *at(
    "two layers' weights exchanged",
    "weights_swapped",
    lambda layer: exchanged(
      *_both(f"{_FIRST_LAYER}.mlp.fc1", f"{_FIRST_LAYER.replace('.0', '.1')}.mlp.fc1")
    ),
    ("maskformer", "decoder/layer0/mlp/expand"),
  ),
  *at(
    "halves of the channels exchanged",
    "channels_permuted",
    lambda layer: transform("fpn.layers.0.proj.0.weight", "conv|order:1,0@2"),
    ("pixel_decoder", "step0/lateral/conv"),
  ),
  *at(
    "halves of the channels exchanged",
    "channels_permuted",
    lambda layer: transform("mask_embedder.0.0.weight", "linear|order:1,0@0"),
    ("maskformer", "heads/mask_embedding/fc0"),
  ),
  *at(
    "weights of BGR images",
    "channels_reversed",
    lambda layer: transform(_STEMS[layer], "conv|order:2,1,0@2"),
    ("resnet", "stem/conv/conv"),
    ("swin", "embedding/projection"),
  ),
  *at(
    "images turned to BGR",
    "channels_reversed",
    wrong(ReversedStem),
    ("resnet", "stem"),
    ("maskformer", "backbone/stem"),
  ),
  *at(
    "positions flattened by columns",
    "axes_swapped",
    wrong(PositionsByColumns),
    ("transformer_decoder", ""),
    ("maskformer", "decoder"),
  ),
  *at("mask logits scaled", "constant_factor", wrong(ScaledMasks), ("maskformer", "heads")),
  *at("embeddings scaled", "constant_factor", wrong(ScaledEmbedding), ("swin", "embedding")),
  *at("prior added to logits", "constant_offset", wrong(PriorOnClasses), ("maskformer", "heads")),
  *at(
    "dropout in training",
    "dropout_active",
    wrong(DroppingConvNorm),
    ("resnet", "stage0/block0/conv"),
    ("maskformer", "backbone/stage1/block0/reduce"),
  ),
)
