"""MaskFormer's transformer decoder: learned queries look at image features."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.initializers import caffe_xavier
from projects.maskformer.modeling.normalization import LayerNorm
from projects.maskformer.modeling.position import SinePosition, flatten_pixels
from projects.maskformer.modeling.transformer import DecoderLayer


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class TransformerDecoder(tf_keras.layers.Layer):
  """Features [b, h, w, c] → queries [b, queries, width] (Cheng et al. 2021, sec. 3.3).

  Queries start at zero; what is learned is where they stand (their positions). Features of another
  width than theirs are projected.

  Args:
    width: channels of the queries.
    heads: of every attention.
    hidden: channels inside the MLPs.
    depth: how many layers.
    queries: how many queries.
    rate: of every dropout.
    intermediate: whether every layer's queries are returned, in a list, each behind the same
      normalization; otherwise the last's.
  """

  def __init__(
    self,
    width: int,
    heads: int,
    hidden: int,
    depth: int,
    queries: int,
    rate: float = 0.0,
    intermediate: bool = False,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    sizes = {"width": width, "heads": heads, "hidden": hidden, "depth": depth}
    self._config = sizes | {"queries": queries, "rate": rate, "intermediate": intermediate}
    self.width, self.queries, self.intermediate = width, queries, intermediate
    self.projection = None
    self.positions = SinePosition(width, name="positions")
    self.layers = [
      DecoderLayer(width, heads, hidden, rate, name=f"layer{index}") for index in range(depth)
    ]
    self.norm = LayerNorm(name="norm")

  def build(self, input_shape: tf.TensorShape) -> None:
    if input_shape[-1] != self.width:
      self.projection = tf_keras.layers.Conv2D(
        self.width, 1, kernel_initializer=caffe_xavier(), name="projection"
      )
    shape = (self.queries, self.width)
    normal = tf_keras.initializers.RandomNormal(stddev=1.0)
    self.query_positions = self.add_weight("query_positions", shape, initializer=normal)
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor | list[tf.Tensor]:
    decoded = self._decode(inputs, training)
    if self.intermediate:
      return [self.norm(queries) for queries in decoded]
    return self.norm(decoded[-1])

  def _decode(self, inputs: tf.Tensor, training: bool) -> list[tf.Tensor]:
    """Features → what each layer makes of the queries, [b, queries, width]."""
    memory = self.projection(inputs) if self.projection else inputs
    memory_positions = flatten_pixels(self.positions(tf.ones(tf.shape(memory)[:3], tf.bool)))
    memory = flatten_pixels(memory)
    positions = tf.tile(self.query_positions[None], [tf.shape(memory)[0], 1, 1])
    decoded = [tf.zeros_like(positions)]
    for layer in self.layers:
      seen = {"positions": positions, "memory_positions": memory_positions}
      decoded.append(layer(decoded[-1], memory, **seen, training=training))
    return decoded[1:]

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
