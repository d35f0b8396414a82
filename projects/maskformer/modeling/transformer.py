"""DETR's transformer layers: normalization comes after each residual sum."""

from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.activations import ACTIVATIONS
from projects.maskformer.modeling.attention import Attention
from projects.maskformer.modeling.projection import Dense

EPSILON = 1e-5  # Of every LayerNorm; Keras' own default is 1e-3.


def layer_norm(name: str) -> tf_keras.layers.LayerNormalization:
  """Normalization of the last axis with PyTorch's epsilon."""
  return tf_keras.layers.LayerNormalization(epsilon=EPSILON, name=name)


class Mlp(tf_keras.layers.Layer):
  """Two projections with an activation between them: [.., c] → [.., c].

  Args:
    hidden: channels between the projections.
    width: channels of the output.
    activation: a key of `ACTIVATIONS`.
  """

  def __init__(self, hidden: int, width: int, activation: str = "relu", **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"hidden": hidden, "width": width, "activation": activation}
    self.expand = Dense(hidden, name="expand")
    self.activation = ACTIVATIONS[activation]
    self.reduce = Dense(width, name="reduce")

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.reduce(self.activation(self.expand(inputs)))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


class EncoderLayer(tf_keras.layers.Layer):
  """Self-attention and MLP, each with a residual sum and a LayerNorm after it.

  Args:
    width: channels.
    heads: of the attention.
    hidden: channels inside the MLP.
  """

  def __init__(self, width: int, heads: int, hidden: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"width": width, "heads": heads, "hidden": hidden}
    self.attention = Attention(width, heads, name="attention")
    self.attention_norm = layer_norm("attention_norm")
    self.mlp = Mlp(hidden, width, name="mlp")
    self.mlp_norm = layer_norm("mlp_norm")

  def call(
    self,
    inputs: tf.Tensor,
    positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
  ) -> tf.Tensor:
    """[b, n, c] → [b, n, c]; `positions` and `valid` as in `Attention`."""
    x = self.attention_norm(inputs + self.attention(inputs, positions=positions, valid=valid))
    return self.mlp_norm(x + self.mlp(x))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


class DecoderLayer(tf_keras.layers.Layer):
  """Self-attention among queries, attention to the memory, MLP; post-norm as the encoder.

  Args:
    width: channels.
    heads: of both attentions.
    hidden: channels inside the MLP.
  """

  def __init__(self, width: int, heads: int, hidden: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"width": width, "heads": heads, "hidden": hidden}
    self.self_attention = Attention(width, heads, name="self_attention")
    self.self_attention_norm = layer_norm("self_attention_norm")
    self.cross_attention = Attention(width, heads, name="cross_attention")
    self.cross_attention_norm = layer_norm("cross_attention_norm")
    self.mlp = Mlp(hidden, width, name="mlp")
    self.mlp_norm = layer_norm("mlp_norm")

  def call(
    self,
    inputs: tf.Tensor,
    memory: tf.Tensor,
    positions: tf.Tensor | None = None,
    memory_positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
  ) -> tf.Tensor:
    """Queries [b, q, c] and memory [b, k, c] → [b, q, c]; `valid` [b, k] is the memory's."""
    x = self.self_attention_norm(inputs + self.self_attention(inputs, positions=positions))
    seen = self.cross_attention(
      x, memory, positions=positions, memory_positions=memory_positions, valid=valid
    )
    x = self.cross_attention_norm(x + seen)
    return self.mlp_norm(x + self.mlp(x))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
