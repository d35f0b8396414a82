"""Swin's blocks: attention within windows that are shifted in every other block."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.attention import attend, merge_heads, split_heads
from projects.maskformer.modeling.backbones import windows
from projects.maskformer.modeling.projection import Dense
from projects.maskformer.modeling.transformer import Mlp, layer_norm

MLP_RATIO = 4


class WindowAttention(tf_keras.layers.Layer):
  """Self-attention within windows, biased by relative position.

  Args:
    width: channels; a multiple of `heads`.
    heads: of the attention.
    window: side of a window in pixels.
  """

  def __init__(self, width: int, heads: int, window: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.width, self.heads, self.window = width, heads, window
    self.query = Dense(width, name="query")
    self.key = Dense(width, name="key")
    self.value = Dense(width, name="value")
    self.output_projection = Dense(width, name="output")

  def build(self, input_shape: tf.TensorShape) -> None:
    rows = (2 * self.window - 1) ** 2
    self.relative_bias = self.add_weight("relative_bias", (rows, self.heads), initializer="zeros")
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Attends within each window.

    Args:
      inputs: [b · windows, window², c], the windows of an image together.
      bias: [windows, window², window²] added to the scores; None: nothing.

    Returns:
      [b · windows, window², width].
    """
    query = split_heads(self.query(inputs), self.heads)
    key = split_heads(self.key(inputs), self.heads)
    value = split_heads(self.value(inputs), self.heads)
    index = windows.relative_index(self.window)
    relative = tf.transpose(tf.gather(self.relative_bias, index), [2, 0, 1])[None]
    if bias is not None:
      repeats = tf.shape(inputs)[0] // bias.shape[0]
      relative = relative + tf.cast(tf.tile(bias, [repeats, 1, 1])[:, None], relative.dtype)
    return self.output_projection(merge_heads(attend(query, key, value, relative)))

  def get_config(self) -> dict[str, Any]:
    sizes = {"width": self.width, "heads": self.heads, "window": self.window}
    return super().get_config() | sizes


class SwinBlock(tf_keras.layers.Layer):
  """Window attention and MLP, each normalized before and added to its input.

  Args:
    width: channels.
    heads: of the attention.
    window: side of a window in pixels.
    shift: how far windows are moved down and right, in pixels.
  """

  def __init__(self, width: int, heads: int, window: int, shift: int = 0, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.width, self.heads, self.window, self.shift = width, heads, window, shift
    self.attention_norm = layer_norm("attention_norm")
    self.attention = WindowAttention(width, heads, window, name="attention")
    self.mlp_norm = layer_norm("mlp_norm")
    self.mlp = Mlp(MLP_RATIO * width, width, "gelu", name="mlp")

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """[b, h, w, c] → [b, h, w, c]; sides that windows do not fill are padded with zeros."""
    x = inputs + self._attend(self.attention_norm(inputs))
    return x + self.mlp(self.mlp_norm(x))

  def _attend(self, x: tf.Tensor) -> tf.Tensor:
    height, width = x.shape[1:3]
    x = tf.pad(x, [[0, 0], [0, -height % self.window], [0, -width % self.window], [0, 0]])
    padded_height, padded_width = x.shape[1:3]
    bias = None
    if self.shift:
      bias = windows.shift_bias(padded_height, padded_width, self.window, self.shift)
      bias = tf.constant(bias, x.dtype)
      x = tf.roll(x, [-self.shift, -self.shift], axis=[1, 2])
    x = self.attention(windows.partition(x, self.window), bias)
    x = windows.merge(x, self.window, padded_height, padded_width)
    if self.shift:
      x = tf.roll(x, [self.shift, self.shift], axis=[1, 2])
    return x[:, :height, :width]

  def get_config(self) -> dict[str, Any]:
    sizes = {"width": self.width, "heads": self.heads}
    return super().get_config() | sizes | {"window": self.window, "shift": self.shift}
