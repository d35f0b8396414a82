"""Normalizations with another epsilon, other axes or statistics; missing ones, and too many."""

import tensorflow as tf

from benchmarks.parity.defects.planting import at, setting, wrong
from official.layers.normalization import BatchNorm
from projects.maskformer.modeling.normalization import GroupNorm, LayerNorm
from projects.maskformer.modeling.transformer import DecoderLayer, EncoderLayer


class BiasedBatchNorm(BatchNorm):
  """The moving variance takes `tf.nn.moments`' estimate as it is."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    if not training:
      return super().call(inputs, training=False)
    mean, variance = tf.nn.moments(inputs, axes=[0, 1, 2])
    for statistic, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
      statistic.assign(self.momentum * statistic + (1 - self.momentum) * value)
    return tf.nn.batch_normalization(inputs, mean, variance, self.beta, self.gamma, self.epsilon)


class FrozenBatchNorm(BatchNorm):
  """Moving statistics in training too."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    del training
    return super().call(inputs, training=False)


class UntrainedBatchNorm(BatchNorm):
  """The batch's statistics in inference too."""

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    if training:
      return super().call(inputs, training=True)
    mean, variance = tf.nn.moments(inputs, axes=[0, 1, 2])
    return tf.nn.batch_normalization(inputs, mean, variance, self.beta, self.gamma, self.epsilon)


class SinglePrecisionGroupNorm(GroupNorm):
  """Statistics in float32, whatever the dtype."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    batch, height, width, channels = inputs.shape
    x = tf.cast(inputs, tf.float32)
    x = tf.reshape(x, [batch, height * width, self.groups, channels // self.groups])
    mean, variance = tf.nn.moments(x, axes=[1, 3], keepdims=True)
    x = tf.reshape((x - mean) * tf.math.rsqrt(variance + self.epsilon), inputs.shape)
    return tf.cast(x, inputs.dtype) * self.gamma + self.beta


class InterleavedGroupNorm(GroupNorm):
  """Channel c belongs to group c mod `groups`."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    batch, height, width, channels = inputs.shape
    x = tf.reshape(inputs, [batch, height * width, channels // self.groups, self.groups])
    mean, variance = tf.nn.moments(x, axes=[1, 2], keepdims=True)
    x = tf.reshape((x - mean) * tf.math.rsqrt(variance + self.epsilon), inputs.shape)
    return x * self.gamma + self.beta


class TokenNorm(LayerNorm):
  """Over tokens, not over channels."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(inputs, axes=[1], keepdims=True)
    return tf.nn.batch_normalization(inputs, mean, variance, self.beta, self.gamma, self.epsilon)


class Identity(LayerNorm):
  """Hands on what it is given."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return tf.identity(inputs)


class NormalizedTwice(EncoderLayer):
  """A LayerNorm after the layer's own, without parameters: transfer sees nothing of it."""

  def call(
    self,
    inputs: tf.Tensor,
    positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    return _standardized(super().call(inputs, positions, valid))


class DecoderNormalizedTwice(DecoderLayer):
  """As `NormalizedTwice`."""

  def call(
    self,
    inputs: tf.Tensor,
    memory: tf.Tensor,
    positions: tf.Tensor | None = None,
    memory_positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    return _standardized(super().call(inputs, memory, positions, memory_positions, valid))


def _standardized(x: tf.Tensor) -> tf.Tensor:
  mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
  return (x - mean) * tf.math.rsqrt(variance + 1e-5)


DEFECTS = (
  *at(
    "LayerNorm epsilon 1e-6",
    "normalization_epsilon",
    setting(epsilon=1e-6),
    ("encoder_layer", "attention_norm"),
    ("maskformer", "decoder/norm"),
  ),
  *at(
    "LayerNorm epsilon 1e-3",
    "normalization_epsilon",
    setting(epsilon=1e-3),
    ("swin", "stage0/block0/attention_norm"),
    ("decoder_layer", "mlp_norm"),
  ),
  *at(
    "GroupNorm epsilon 1e-3",
    "normalization_epsilon",
    setting(epsilon=1e-3),
    ("pixel_decoder", "stem/norm"),
    ("maskformer", "pixel_decoder/step0/smooth/norm"),
  ),
  *at(
    "BatchNorm epsilon 1e-3",
    "normalization_epsilon",
    setting(epsilon=1e-3),
    ("resnet", "stem/conv/norm"),
    ("maskformer", "backbone/stage1/block0/expand/norm"),
  ),
  *at(
    "BatchNorm momentum as PyTorch counts it",
    "normalization_momentum",
    setting(momentum=0.1),
    ("resnet", "stem/conv/norm"),
    ("maskformer", "backbone/stage0/block1/conv/norm"),
  ),
  *at(
    "BatchNorm momentum 0.99",
    "normalization_momentum",
    setting(momentum=0.99),
    ("resnet_stage", "block0/reduce/norm"),
    ("resnet", "stage1/block0/shortcut/norm"),
  ),
  *at(
    "biased moving variance",
    "variance_bias",
    wrong(BiasedBatchNorm),
    ("resnet", "stage0/block0/conv/norm"),
    ("resnet_stage", "block1/expand/norm"),
  ),
  *at(
    "BatchNorm frozen in training",
    "train_eval_mode",
    wrong(FrozenBatchNorm),
    ("resnet", "stem/conv/norm"),
    ("resnet_stage", "block1/conv/norm"),
  ),
  *at(
    "BatchNorm of the batch in inference",
    "train_eval_mode",
    wrong(UntrainedBatchNorm),
    ("resnet", "stage1/block0/reduce/norm"),
    ("maskformer", "backbone/stem/conv/norm"),
  ),
  *at(
    "GroupNorm in float32",
    "precision_lost",
    wrong(SinglePrecisionGroupNorm),
    ("pixel_decoder", "step1/smooth/norm"),
    ("maskformer", "pixel_decoder/step0/lateral/norm"),
  ),
  *at(
    "GroupNorm of interleaved groups",
    "normalization_axis",
    wrong(InterleavedGroupNorm),
    ("pixel_decoder", "step0/lateral/norm"),
    ("maskformer", "pixel_decoder/stem/norm"),
  ),
  *at(
    "LayerNorm over tokens",
    "normalization_axis",
    wrong(TokenNorm),
    ("encoder_layer", "mlp_norm"),
    ("transformer_decoder", "layer1/cross_attention_norm"),
  ),
  *at(
    "LayerNorm left out",
    "normalization_missing",
    wrong(Identity),
    ("transformer_decoder", "norm"),
    ("swin", "norm0"),
  ),
  *at(
    "a LayerNorm too many",
    "normalization_extra",
    wrong(NormalizedTwice),
    ("encoder_layer", ""),
  ),
  *at(
    "a LayerNorm too many",
    "normalization_extra",
    wrong(DecoderNormalizedTwice),
    ("maskformer", "decoder/layer0"),
  ),
)
