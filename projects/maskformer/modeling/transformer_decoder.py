"""MaskFormer's transformer decoder: learned queries look at image features."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.position import SinePosition
from projects.maskformer.modeling.transformer import DecoderLayer, layer_norm


class TransformerDecoder(tf_keras.layers.Layer):
  """Features [b, h, w, c] → queries [b, queries, width].

  Queries start at zero; what is learned is where they stand (their positions).

  Args:
    width: channels of the queries.
    heads: of every attention.
    hidden: channels inside the MLPs.
    depth: how many layers.
    queries: how many queries.
  """

  def __init__(
    self, width: int, heads: int, hidden: int, depth: int, queries: int, **kwargs: Any
  ) -> None:
    super().__init__(**kwargs)
    sizes = {"width": width, "heads": heads, "hidden": hidden, "depth": depth}
    self._config = sizes | {"queries": queries}
    self.width, self.queries = width, queries
    self.projection = tf_keras.layers.Conv2D(width, 1, name="projection")
    self.positions = SinePosition(width, name="positions")
    self.layers = [
      DecoderLayer(width, heads, hidden, name=f"layer{index}") for index in range(depth)
    ]
    self.norm = layer_norm("norm")

  def build(self, input_shape: tf.TensorShape) -> None:
    shape = (self.queries, self.width)
    self.query_positions = self.add_weight("query_positions", shape, initializer="random_normal")
    super().build(input_shape)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.norm(self._decode(inputs))

  def _decode(self, inputs: tf.Tensor) -> tf.Tensor:
    """Features → what the last layer makes of the queries."""
    memory = self.projection(inputs)
    batch, height, width = tf.unstack(tf.shape(memory)[:3])
    valid = tf.ones([batch, height, width], tf.bool)
    memory_positions = self._flat(self.positions(valid))
    memory = self._flat(memory)
    positions = tf.tile(self.query_positions[None], [batch, 1, 1])
    x = tf.zeros_like(positions)
    for layer in self.layers:
      x = layer(x, memory, positions=positions, memory_positions=memory_positions)
    return x

  def _flat(self, x: tf.Tensor) -> tf.Tensor:
    """[b, h, w, width] → [b, h · w, width]."""
    return tf.reshape(x, [tf.shape(x)[0], -1, self.width])

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
