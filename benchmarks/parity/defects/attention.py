"""Attention with other scales, heads, masks, positions and windows."""

import math

import numpy as np
import tensorflow as tf

from benchmarks.parity.defects.planting import Plant, at, exchanged, transform, wrong
from projects.maskformer.modeling import position
from projects.maskformer.modeling.attention import (
  Attention,
  add_positions,
  attend,
  merge_heads,
  padding_bias,
  split_heads,
)
from projects.maskformer.modeling.backbones import windows
from projects.maskformer.modeling.backbones.swin_block import SwinBlock, WindowAttention


class _Attention(Attention):
  """`Attention` with its steps apart, to get one of them wrong."""

  def call(
    self,
    inputs: tf.Tensor,
    memory: tf.Tensor | None = None,
    positions: tf.Tensor | None = None,
    memory_positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    if memory is None:
      memory, memory_positions = inputs, positions
    query = self.split(self.query(add_positions(inputs, positions)))
    key = self.split(self.key(add_positions(memory, memory_positions)))
    value = self.split(self.value(memory))
    return self.output_projection(self.merge(self.attend(query, key, value, valid)))

  def split(self, x: tf.Tensor) -> tf.Tensor:
    return split_heads(x, self.heads)

  def merge(self, x: tf.Tensor) -> tf.Tensor:
    return merge_heads(x)

  def attend(
    self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None
  ) -> tf.Tensor:
    bias = None if valid is None else padding_bias(valid, query.dtype)
    return attend(query, key, value, bias)


class ScaledByWidth(_Attention):
  """Scores divided by the root of all channels, not of a head's."""

  def attend(
    self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None
  ) -> tf.Tensor:
    scores = tf.matmul(query, key, transpose_b=True) / math.sqrt(self.width)
    if valid is not None:
      scores += padding_bias(valid, scores.dtype)
    return tf.matmul(tf.nn.softmax(scores), value)


class Unscaled(_Attention):
  """Scores as they are."""

  def attend(
    self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None
  ) -> tf.Tensor:
    scores = tf.matmul(query, key, transpose_b=True)
    if valid is not None:
      scores += padding_bias(valid, scores.dtype)
    return tf.matmul(tf.nn.softmax(scores), value)


class SoftmaxOverQueries(_Attention):
  """Each key shares itself out among the queries."""

  def attend(
    self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None
  ) -> tf.Tensor:
    scores = tf.matmul(query, key, transpose_b=True) * query.shape[-1] ** -0.5
    if valid is not None:
      scores += padding_bias(valid, scores.dtype)
    return tf.matmul(tf.nn.softmax(scores, axis=-2), value)


class HeadsLast(_Attention):
  """Channel c belongs to head c mod `heads`."""

  def split(self, x: tf.Tensor) -> tf.Tensor:
    batch, length, width = x.shape
    x = tf.reshape(x, [batch, length, width // self.heads, self.heads])
    return tf.transpose(x, [0, 3, 1, 2])

  def merge(self, x: tf.Tensor) -> tf.Tensor:
    batch, heads, length, depth = x.shape
    return tf.reshape(tf.transpose(x, [0, 2, 3, 1]), [batch, length, heads * depth])


class HeadsNotMovedBack(_Attention):
  """Heads joined without moving them behind the tokens."""

  def merge(self, x: tf.Tensor) -> tf.Tensor:
    batch, heads, length, depth = x.shape
    return tf.reshape(x, [batch, length, heads * depth])


class InvertedMask(_Attention):
  """Sees the padding and nothing else: the mask's meaning is PyTorch's `key_padding_mask`."""

  def attend(
    self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None
  ) -> tf.Tensor:
    return super().attend(query, key, value, None if valid is None else ~valid)


class NoMask(_Attention):
  """Sees the padding too."""

  def attend(
    self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None
  ) -> tf.Tensor:
    return super().attend(query, key, value, None)


class SoftmaxInFloat32(_Attention):
  """Softmax in float32 "for stability", whatever the dtype."""

  def attend(
    self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, valid: tf.Tensor | None
  ) -> tf.Tensor:
    scores = tf.matmul(query, key, transpose_b=True) * query.shape[-1] ** -0.5
    if valid is not None:
      scores += padding_bias(valid, scores.dtype)
    shares = tf.nn.softmax(tf.cast(scores, tf.float32))
    return tf.matmul(tf.cast(shares, value.dtype), value)


class _SwinBlock(SwinBlock):
  """`SwinBlock` with its steps apart, to get one of them wrong."""

  def _attend(self, x: tf.Tensor) -> tf.Tensor:
    height, width = x.shape[1:3]
    x = tf.pad(x, [[0, 0], [0, -height % self.window], [0, -width % self.window], [0, 0]])
    padded_height, padded_width = x.shape[1:3]
    bias = self.bias(padded_height, padded_width)
    x = self.roll(x, -self.shift)
    x = self.attention(
      windows.partition(x, self.window), None if bias is None else tf.constant(bias, x.dtype)
    )
    x = windows.merge(x, self.window, padded_height, padded_width)
    return self.roll(x, self.shift)[:, :height, :width]

  def bias(self, height: int, width: int) -> np.ndarray | None:
    return windows.shift_bias(height, width, self.window, self.shift) if self.shift else None

  def roll(self, x: tf.Tensor, shift: int) -> tf.Tensor:
    return tf.roll(x, [shift, shift], axis=[1, 2])


class ShiftedTheOtherWay(_SwinBlock):
  """Windows move up and left."""

  def roll(self, x: tf.Tensor, shift: int) -> tf.Tensor:
    return super().roll(x, -shift)


class NotShifted(_SwinBlock):
  """Windows stay where they are, and so do borders."""

  def bias(self, height: int, width: int) -> np.ndarray | None:
    return None

  def roll(self, x: tf.Tensor, shift: int) -> tf.Tensor:
    return x


class BordersSeen(_SwinBlock):
  """Shifted, but opposite borders see each other."""

  def bias(self, height: int, width: int) -> np.ndarray | None:
    return None


class BordersInverted(_SwinBlock):
  """Only opposite borders see each other."""

  def bias(self, height: int, width: int) -> np.ndarray | None:
    bias = super().bias(height, width)
    return None if bias is None else -100.0 - bias


class _WindowAttention(WindowAttention):
  """`WindowAttention` with its steps apart, to get one of them wrong."""

  def call(self, inputs: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    query = split_heads(self.query(inputs), self.heads)
    key = split_heads(self.key(inputs), self.heads)
    value = split_heads(self.value(inputs), self.heads)
    index = self.index()
    relative = tf.transpose(tf.gather(self.relative_bias, index), [2, 0, 1])[None]
    if bias is not None:
      repeats = inputs.shape[0] // bias.shape[0]
      relative = relative + self.spread(bias, repeats)[:, None]
    return self.output_projection(merge_heads(attend(query, key, value, relative)))

  def index(self) -> np.ndarray:
    return windows.relative_index(self.window)

  def spread(self, bias: tf.Tensor, repeats: int) -> tf.Tensor:
    return tf.tile(bias, [repeats, 1, 1])


class ColumnsBeforeRows(_WindowAttention):
  """The table of relative positions is read with rows and columns exchanged."""

  def index(self) -> np.ndarray:
    side = 2 * self.window - 1
    down, right = np.divmod(super().index(), side)
    return right * side + down


class ImagesInterleaved(_WindowAttention):
  """Masks repeated window by window, as if the images of a batch took turns."""

  def spread(self, bias: tf.Tensor, repeats: int) -> tf.Tensor:
    return tf.repeat(bias, repeats, axis=0)


class _SinePosition(position.SinePosition):
  """`SinePosition` with its steps apart, to get one of them wrong."""

  def call(self, valid: tf.Tensor) -> tf.Tensor:
    ones = tf.cast(self.counted(valid), self.compute_dtype)
    rows = self.normalized(tf.cumsum(ones, axis=1), 1)
    columns = self.normalized(tf.cumsum(ones, axis=2), 2)
    return self.joined(self.waves(rows), self.waves(columns))

  def counted(self, valid: tf.Tensor) -> tf.Tensor:
    return valid

  def normalized(self, places: tf.Tensor, axis: int) -> tf.Tensor:
    last = places[:, -1:, :] if axis == 1 else places[:, :, -1:]
    return places / (last + 1e-6) * (2 * math.pi)

  def waves(self, places: tf.Tensor) -> tf.Tensor:
    angles = self.angles(places)
    turns = tf.stack([tf.sin(angles), tf.cos(angles)], axis=-1)
    return tf.reshape(turns, [*places.shape, self.width // 2])

  def angles(self, places: tf.Tensor) -> tf.Tensor:
    exponents = 4 * tf.range(self.width // 4, dtype=places.dtype) / self.width
    return places[..., None] / tf.pow(tf.constant(10000, places.dtype), exponents)

  def joined(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.concat([rows, columns], axis=-1)


class ColumnsFirst(_SinePosition):
  """The column's half before the row's."""

  def joined(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.concat([columns, rows], axis=-1)


class SinesThenCosines(_SinePosition):
  """All sines, then all cosines, as in Vaswani et al.'s TensorFlow code."""

  def waves(self, places: tf.Tensor) -> tf.Tensor:
    angles = self.angles(places)
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)


class NotScaled(_SinePosition):
  """Places from 0 to 1."""

  def normalized(self, places: tf.Tensor, axis: int) -> tf.Tensor:
    return super().normalized(places, axis) / (2 * math.pi)


class NotNormalized(_SinePosition):
  """Places as they are counted."""

  def normalized(self, places: tf.Tensor, axis: int) -> tf.Tensor:
    return places


class PaddingCounted(_SinePosition):
  """Every pixel counts, also padding."""

  def counted(self, valid: tf.Tensor) -> tf.Tensor:
    return tf.ones_like(valid)


class OnlyPaddingCounted(_SinePosition):
  """The mask is True where DETR's own is: at padding."""

  def counted(self, valid: tf.Tensor) -> tf.Tensor:
    return ~valid


class SinglePrecision(position.SinePosition):
  """Computed in float32, as positions "need no more"."""

  def call(self, valid: tf.Tensor) -> tf.Tensor:
    return tf.cast(position.sine_positions(valid, self.width, tf.float32), self.compute_dtype)


def _projections(module: str, one: str, other: str) -> Plant:
  """Kernels and biases of two of an attention's projections in each other's place."""
  prefix = f"{module}." if module else ""
  return exchanged(
    *((f"{prefix}{one}_proj.{name}", f"{prefix}{other}_proj.{name}") for name in ("weight", "bias"))
  )


_LAST_SWIN_ATTENTION = "swin.encoder.layers.1.blocks.1.attention"
_OUTPUT = "model.transformer_module.decoder.layers.1.encoder_attn.o_proj.weight"

DEFECTS = (
  *at(
    "scores divided by the root of the width",
    "attention_scale",
    wrong(ScaledByWidth),
    ("attention", ""),
    ("maskformer", "decoder/layer1/cross_attention"),
  ),
  *at(
    "scores not divided",
    "attention_scale",
    wrong(Unscaled),
    ("encoder_layer", "attention"),
    ("transformer_decoder", "layer0/cross_attention"),
  ),
  *at(
    "softmax over queries",
    "softmax_axis",
    wrong(SoftmaxOverQueries),
    ("attention", ""),
    ("decoder_layer", "self_attention"),
  ),
  *at(
    "heads laid out last",
    "head_order",
    wrong(HeadsLast),
    ("attention", ""),
    ("transformer_decoder", "layer1/self_attention"),
  ),
  *at(
    "heads joined without moving them back",
    "head_order",
    wrong(HeadsNotMovedBack),
    ("encoder_layer", "attention"),
    ("maskformer", "decoder/layer0/cross_attention"),
  ),
  *at(
    "mask inverted",
    "mask_polarity",
    wrong(InvertedMask),
    ("attention", ""),
    ("decoder_layer", "cross_attention"),
  ),
  *at(
    "mask left out",
    "mask_missing",
    wrong(NoMask),
    ("encoder_layer", "attention"),
    ("decoder_layer", "cross_attention"),
  ),
  *at(
    "softmax in float32",
    "precision_lost",
    wrong(SoftmaxInFloat32),
    ("attention", ""),
    ("maskformer", "decoder/layer0/cross_attention"),
  ),
  *at(
    "query and key exchanged",
    "qkv_order",
    lambda layer: _projections(_LAST_SWIN_ATTENTION if "/" in layer else "", "q", "k"),
    ("attention", "query"),
    ("swin", "stage1/block1/attention/query"),
  ),
  *at(
    "key and value exchanged",
    "qkv_order",
    lambda layer: _projections("encoder_attn" if "cross" in layer else "self_attn", "k", "v"),
    ("encoder_layer", "attention/key"),
    ("decoder_layer", "cross_attention/key"),
  ),
  *at(
    "square kernel not transposed",
    "kernel_transposed",
    lambda layer: transform(_OUTPUT if "/" in layer else "q_proj.weight", "identity"),
    ("attention", "query"),
    ("maskformer", "decoder/layer1/cross_attention/output"),
  ),
  *at(
    "windows shifted the other way",
    "window_shift",
    wrong(ShiftedTheOtherWay),
    ("swin_block", ""),
    ("swin", "stage0/block1"),
  ),
  *at(
    "windows not shifted",
    "window_shift",
    wrong(NotShifted),
    ("swin_block", ""),
    ("swin", "stage1/block1"),
  ),
  *at(
    "opposite borders see each other",
    "mask_missing",
    wrong(BordersSeen),
    ("swin_block", ""),
    ("swin", "stage0/block1"),
  ),
  *at(
    "shifted mask inverted",
    "mask_polarity",
    wrong(BordersInverted),
    ("swin_block", ""),
    ("swin", "stage1/block1"),
  ),
  *at(
    "relative positions with rows and columns exchanged",
    "axes_swapped",
    wrong(ColumnsBeforeRows),
    ("swin_block", "attention"),
    ("swin", "stage1/block0/attention"),
  ),
  *at(
    "window masks repeated in the wrong order",
    "axes_swapped",
    wrong(ImagesInterleaved),
    ("swin_block", "attention"),
    ("swin", "stage0/block1/attention"),
  ),
  *at(
    "columns encoded before rows",
    "position_order",
    wrong(ColumnsFirst),
    ("sine_position", ""),
    ("transformer_decoder", "positions"),
  ),
  *at(
    "sines before cosines",
    "position_order",
    wrong(SinesThenCosines),
    ("sine_position", ""),
    ("maskformer", "decoder/positions"),
  ),
  *at(
    "positions from 0 to 1",
    "position_normalization",
    wrong(NotScaled),
    ("sine_position", ""),
    ("transformer_decoder", "positions"),
  ),
  *at(
    "positions not normalized",
    "position_normalization",
    wrong(NotNormalized),
    ("sine_position", ""),
    ("maskformer", "decoder/positions"),
  ),
  *at("padding counted in positions", "mask_missing", wrong(PaddingCounted), ("sine_position", "")),
  *at("positions of padding", "mask_polarity", wrong(OnlyPaddingCounted), ("sine_position", "")),
  *at(
    "positions in float32",
    "precision_lost",
    wrong(SinglePrecision),
    ("sine_position", ""),
    ("transformer_decoder", "positions"),
  ),
)
