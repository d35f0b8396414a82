"""Swin's blocks: attention within windows that are shifted in every other block."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.attention import attend, merge_heads, split_heads
from projects.maskformer.modeling.backbones import windows
from projects.maskformer.modeling.dropout import drop_path
from projects.maskformer.modeling.initializers import swin
from projects.maskformer.modeling.normalization import LayerNorm
from projects.maskformer.modeling.projection import Dense
from projects.maskformer.modeling.transformer import Mlp

MLP_RATIO = 4


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
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
    self.query = Dense(width, kernel_initializer=swin(), name="query")
    self.key = Dense(width, kernel_initializer=swin(), name="key")
    self.value = Dense(width, kernel_initializer=swin(), name="value")
    self.output_projection = Dense(width, kernel_initializer=swin(), name="output")

  def build(self, input_shape: tf.TensorShape) -> None:
    rows = (2 * self.window - 1) ** 2
    self.relative_bias = self.add_weight("relative_bias", (rows, self.heads), initializer=swin())
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Attends within each window.

    Args:
      inputs: [b · windows, window², c], the windows of an image together.
      bias: [windows, window², window²] added to the scores; None: nothing.

    Returns:
      [b · windows, window², width].
    """
    parts = [split_heads(make(inputs), self.heads) for make in (self.query, self.key, self.value)]
    # Reshaped to what it is: so its gradient is dense, which `gather` alone makes sparse.
    table = tf.reshape(self.relative_bias, [-1, self.heads])
    relative = tf.gather(table, windows.relative_index(self.window))
    relative = tf.transpose(relative, [2, 0, 1])  # [heads, window², window²]
    if bias is not None:
      relative += tf.cast(bias, relative.dtype)[:, None]
      # [b, windows, heads, window², c]: what is added is the same for every image.
      parts = [tf.reshape(x, [-1, bias.shape[0], *x.shape[1:]]) for x in parts]
    seen = attend(*parts, relative)
    return self.output_projection(merge_heads(tf.reshape(seen, [-1, *seen.shape[-3:]])))

  def get_config(self) -> dict[str, Any]:
    sizes = {"width": self.width, "heads": self.heads, "window": self.window}
    return super().get_config() | sizes


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class SwinBlock(tf_keras.layers.Layer):
  """Window attention and MLP, each normalized before and added to its input.

  Args:
    width: channels.
    heads: of the attention.
    window: side of a window in pixels.
    shift: how far windows are moved down and right, in pixels.
    rate: how often, in training, an image skips attention, and the MLP.
  """

  def __init__(
    self,
    width: int,
    heads: int,
    window: int,
    shift: int = 0,
    rate: float = 0.0,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    self.width, self.heads, self.window, self.shift = width, heads, window, shift
    self.rate = rate
    self.attention_norm = LayerNorm(name="attention_norm")
    self.attention = WindowAttention(width, heads, window, name="attention")
    self.mlp_norm = LayerNorm(name="mlp_norm")
    self.mlp = Mlp(
      MLP_RATIO * width,
      width,
      "gelu",
      kernel_initializer=swin(),
      bias_initializer="zeros",
      name="mlp",
    )

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """[b, h, w, c] → [b, h, w, c]; sides that windows do not fill are padded with zeros."""
    x = inputs + drop_path(self._attend(self.attention_norm(inputs)), self.rate, training)
    return x + drop_path(self.mlp(self.mlp_norm(x)), self.rate, training)

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
    windowing = {"window": self.window, "shift": self.shift, "rate": self.rate}
    return super().get_config() | sizes | windowing
