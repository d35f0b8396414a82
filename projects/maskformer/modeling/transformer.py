"""DETR's transformer layers: normalization comes after each residual sum."""

from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.activations import ACTIVATIONS
from projects.maskformer.modeling.attention import Attention
from projects.maskformer.modeling.dropout import dropout
from projects.maskformer.modeling.initializers import FanInUniform, xavier
from projects.maskformer.modeling.normalization import LayerNorm
from projects.maskformer.modeling.projection import Dense


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class Mlp(tf_keras.layers.Layer):
  """Two projections with an activation between them: [.., c] → [.., c].

  Args:
    hidden: channels between the projections.
    width: channels of the output.
    activation: a key of `ACTIVATIONS`.
    rate: of the dropout after it.
    kernel_initializer: of both projections; None: the transformers'.
    bias_initializer: of both biases; None: PyTorch's.
  """

  def __init__(
    self,
    hidden: int,
    width: int,
    activation: str = "relu",
    rate: float = 0.0,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    draws = {
      "kernel_initializer": tf_keras.initializers.get(kernel_initializer or xavier()),
      "bias_initializer": tf_keras.initializers.get(bias_initializer or FanInUniform()),
    }
    # By configuration: an initializer that is used twice draws the same twice.
    drawn = {name: tf_keras.initializers.serialize(draw) for name, draw in draws.items()}
    sizes = {"hidden": hidden, "width": width, "activation": activation, "rate": rate}
    self._config = sizes | drawn
    self.expand = Dense(hidden, **drawn, name="expand")
    self.activation = ACTIVATIONS[activation]
    self.rate = rate
    self.reduce = Dense(width, **drawn, name="reduce")

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = self.activation(self.expand(inputs))
    return self.reduce(dropout(x, self.rate, training))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class EncoderLayer(tf_keras.layers.Layer):
  """Self-attention and MLP, each with a residual sum and a LayerNorm after it.

  Args:
    width: channels.
    heads: of the attention.
    hidden: channels inside the MLP.
    rate: of every dropout: of what is seen, inside the MLP, before each sum.
  """

  def __init__(self, width: int, heads: int, hidden: int, rate: float = 0.0, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"width": width, "heads": heads, "hidden": hidden, "rate": rate}
    self.rate = rate
    self.attention = Attention(width, heads, rate, name="attention")
    self.attention_norm = LayerNorm(name="attention_norm")
    self.mlp = Mlp(hidden, width, rate=rate, name="mlp")
    self.mlp_norm = LayerNorm(name="mlp_norm")

  def call(
    self,
    inputs: tf.Tensor,
    positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    """[b, n, c] → [b, n, c]; `positions` and `valid` as in `Attention`."""
    seen = self.attention(inputs, positions=positions, valid=valid, training=training)
    x = self.attention_norm(inputs + dropout(seen, self.rate, training))
    return self.mlp_norm(x + dropout(self.mlp(x, training=training), self.rate, training))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class DecoderLayer(tf_keras.layers.Layer):
  """Self-attention among queries, attention to the memory, MLP; post-norm as the encoder.

  Args:
    width: channels.
    heads: of both attentions.
    hidden: channels inside the MLP.
    rate: of every dropout: of what is seen, inside the MLP, before each sum.
  """

  def __init__(self, width: int, heads: int, hidden: int, rate: float = 0.0, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"width": width, "heads": heads, "hidden": hidden, "rate": rate}
    self.rate = rate
    self.self_attention = Attention(width, heads, rate, name="self_attention")
    self.self_attention_norm = LayerNorm(name="self_attention_norm")
    self.cross_attention = Attention(width, heads, rate, name="cross_attention")
    self.cross_attention_norm = LayerNorm(name="cross_attention_norm")
    self.mlp = Mlp(hidden, width, rate=rate, name="mlp")
    self.mlp_norm = LayerNorm(name="mlp_norm")

  def call(
    self,
    inputs: tf.Tensor,
    memory: tf.Tensor,
    positions: tf.Tensor | None = None,
    memory_positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    """Queries [b, q, c] and memory [b, k, c] → [b, q, c]; `valid` [b, k] is the memory's."""
    seen = self.self_attention(inputs, positions=positions, training=training)
    x = self.self_attention_norm(inputs + dropout(seen, self.rate, training))
    seen = self.cross_attention(
      x,
      memory,
      positions=positions,
      memory_positions=memory_positions,
      valid=valid,
      training=training,
    )
    x = self.cross_attention_norm(x + dropout(seen, self.rate, training))
    return self.mlp_norm(x + dropout(self.mlp(x, training=training), self.rate, training))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
