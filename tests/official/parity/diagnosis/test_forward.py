"""Defects planted in layers that are written in many ways; PyTorch or NumPy is the original."""

import math

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional as F

from tests.official.parity.diagnosis.planting import LAYERS, cause, normal, randomize

IMAGE = normal(2, 8, 8, 6)
TOKENS = normal(2, 9, 8)


def nchw(x):
  return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def nhwc(x):
  return np.moveaxis(x.detach().numpy(), 1, -1)


def t(x):
  return torch.from_numpy(np.ascontiguousarray(np.asarray(x)))


def conv(x, *args, **kwargs):
  return randomize(LAYERS.Conv2D(*args, dtype="float64", **kwargs), x)


def torch_conv(x, layer, kernel=None, bias=True, **kwargs):
  kernel = layer.kernel.numpy() if kernel is None else kernel
  vector = t(layer.bias) if layer.use_bias and bias else None
  return nhwc(F.conv2d(nchw(x), t(kernel.transpose(3, 2, 0, 1)), vector, **kwargs))


class Block(LAYERS.Layer):
  """Layers and a function of them, as projects write theirs."""

  def __init__(self, call, **layers):
    super().__init__(dtype="float64", name="block")
    self.function = call
    for name, layer in layers.items():
      setattr(self, name, layer)

  def call(self, x):
    return self.function(self, x)


def dense(units, **kwargs):
  return LAYERS.Dense(units, dtype="float64", **kwargs)


def layer_norm(**kwargs):
  return LAYERS.LayerNormalization(dtype="float64", **kwargs)


def torch_norm(x, layer, epsilon=1e-5):
  return F.layer_norm(t(x), x.shape[-1:], t(layer.gamma), t(layer.beta), epsilon).numpy()


# Convolutions -----------------------------------------------------------------------------------


def test_padding_of_a_strided_convolution():
  layer = conv(IMAGE, 4, 3, 2, padding="same")
  assert cause(layer, torch_conv(IMAGE, layer, stride=2, padding=1), IMAGE) == "padding"


def test_padding_by_an_operation_of_its_own():
  kernel = normal(3, 3, 6, 4)

  def candidate(x):
    return tf.nn.conv2d(tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]), kernel, 2, "VALID")

  original = nhwc(F.conv2d(nchw(IMAGE), t(kernel.transpose(3, 2, 0, 1)), stride=2, padding=1))
  assert cause(candidate, original, IMAGE) == "padding"


def test_reflection_instead_of_zeros():
  kernel = normal(3, 3, 6, 4)

  def candidate(x):
    return tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), kernel, 1, "VALID")

  padded = F.pad(nchw(IMAGE), (1, 1, 1, 1), mode="reflect")
  original = nhwc(F.conv2d(padded, t(kernel.transpose(3, 2, 0, 1))))
  assert cause(candidate, original, IMAGE) == "padding"


def test_depthwise_padding():
  layer = randomize(LAYERS.DepthwiseConv2D(5, 2, "same", dtype="float64"), IMAGE)
  kernel = t(layer.depthwise_kernel.numpy().transpose(2, 3, 0, 1))
  original = nhwc(F.conv2d(nchw(IMAGE), kernel, t(layer.bias), stride=2, padding=2, groups=6))
  assert cause(layer, original, IMAGE) == "padding"


@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), (1, 2)])
def test_stride_or_dilation(stride, dilation):
  layer = conv(IMAGE, 4, 3, 1, padding="same")
  original = torch_conv(IMAGE, layer, stride=stride, dilation=dilation, padding=dilation)
  assert cause(layer, original, IMAGE) == "stride_or_dilation"


def test_kernel_rows_and_columns_exchanged():
  layer = conv(IMAGE, 4, 3, padding="same")
  kernel = layer.kernel.numpy().transpose(1, 0, 2, 3)
  assert cause(layer, torch_conv(IMAGE, layer, kernel, padding=1), IMAGE) == "kernel_transposed"


def test_dense_kernel_transposed():
  layer = randomize(dense(8), TOKENS)
  original = F.linear(t(TOKENS), t(layer.kernel), t(layer.bias))
  assert cause(layer, original, TOKENS) == "kernel_transposed"


def test_kernel_mirrored():
  layer = conv(IMAGE, 4, 3, padding="same")
  kernel = layer.kernel.numpy()[::-1, ::-1]
  assert cause(layer, torch_conv(IMAGE, layer, kernel, padding=1), IMAGE) == "kernel_flipped"


def test_bias_that_is_not_added():
  def call(self, x):
    return self.conv.convolution_op(x, self.conv.kernel)

  block = Block(call, conv=LAYERS.Conv2D(4, 3, dtype="float64"))
  block.conv.build(IMAGE.shape)
  randomize(block, IMAGE)
  assert cause(block, torch_conv(IMAGE, block.conv), IMAGE) == "bias_missing"


def test_bias_that_the_candidate_has_no_variable_for():
  layer = conv(IMAGE, 4, 3, use_bias=False)
  bias = normal(4)
  original = torch_conv(IMAGE, layer) + bias
  assert cause(layer, original, IMAGE, parameters={"bias": bias}) == "bias_missing"


def test_bias_added_twice():
  block = Block(lambda s, x: s.conv(x) + s.conv.bias, conv=LAYERS.Conv2D(4, 3, dtype="float64"))
  randomize(block, IMAGE)
  assert cause(block, torch_conv(IMAGE, block.conv), IMAGE) == "bias_extra"


def test_bias_that_the_original_does_not_have():
  layer = conv(IMAGE, 4, 3)
  assert cause(layer, torch_conv(IMAGE, layer, bias=False), IMAGE) == "bias_extra"


def test_input_channels_reversed():
  x = normal(1, 6, 6, 3)
  layer = conv(x, 4, 3)
  assert cause(layer, torch_conv(x[..., ::-1], layer), x) == "channels_reversed"


# Normalizations ---------------------------------------------------------------------------------


def test_epsilon_of_layer_normalization():
  layer = randomize(layer_norm(epsilon=1e-3), TOKENS)
  assert cause(layer, torch_norm(TOKENS, layer), TOKENS) == "normalization_epsilon"


@pytest.mark.parametrize("training", [False, True])
def test_epsilon_of_batch_normalization(training):
  layer = randomize(LAYERS.BatchNormalization(epsilon=1e-3, dtype="float64"), IMAGE)
  mean, variance = t(layer.moving_mean), t(layer.moving_variance)
  original = F.batch_norm(
    nchw(IMAGE), mean, variance, t(layer.gamma), t(layer.beta), training, 0.1, 1e-5
  )
  found = cause(layer, nhwc(original), IMAGE, training=training)
  assert found == "normalization_epsilon"


def test_epsilon_of_group_normalization_by_hand():
  def candidate(x):
    grouped = tf.reshape(x, [2, 8, 8, 3, 2])
    mean, variance = tf.nn.moments(grouped, [1, 2, 4], keepdims=True)
    return tf.reshape((grouped - mean) / tf.sqrt(variance + 1e-3), x.shape)

  original = nhwc(F.group_norm(nchw(IMAGE), 3, eps=1e-5))
  assert cause(candidate, original, IMAGE) == "normalization_epsilon"


def test_two_epsilons_at_once():
  block = Block(
    lambda s, x: s.second(tf.nn.relu(s.first(x))),
    first=layer_norm(epsilon=1e-3),
    second=layer_norm(epsilon=1e-3),
  )
  randomize(block, TOKENS)
  middle = np.maximum(torch_norm(TOKENS, block.first), 0)
  assert cause(block, torch_norm(middle, block.second), TOKENS) == "normalization_epsilon"


@pytest.mark.parametrize("groups", [2, 6])
def test_other_groups(groups):
  layer = randomize(LAYERS.GroupNormalization(3, epsilon=1e-5, dtype="float64"), IMAGE)
  original = nhwc(F.group_norm(nchw(IMAGE), groups, t(layer.gamma), t(layer.beta)))
  assert cause(layer, original, IMAGE) == "normalization_axis"


def test_normalized_over_space_instead_of_channels():
  def candidate(x):
    mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-5)

  assert cause(candidate, F.layer_norm(t(IMAGE), (6,)), IMAGE) == "normalization_axis"


def test_normalization_left_out():
  block = Block(lambda s, x: s.dense(x), dense=dense(8), norm=layer_norm(epsilon=1e-5))
  block.norm.build(TOKENS.shape)
  randomize(block, TOKENS)
  original = F.linear(
    t(torch_norm(TOKENS, block.norm)), t(block.dense.kernel).T, t(block.dense.bias)
  )
  assert cause(block, original, TOKENS) == "normalization_missing"


def test_normalization_whose_call_does_nothing():
  layer = randomize(layer_norm(epsilon=1e-5), TOKENS)
  layer.call = lambda x: x + 0.0
  assert cause(layer, torch_norm(TOKENS, layer), TOKENS) == "normalization_missing"


def test_normalization_too_many():
  block = Block(lambda s, x: s.norm(s.dense(x)), dense=dense(8), norm=layer_norm())
  randomize(block, TOKENS)
  original = F.linear(t(TOKENS), t(block.dense.kernel).T, t(block.dense.bias))
  assert cause(block, original, TOKENS) == "normalization_extra"


def test_functional_normalization_too_many():
  kernel = normal(8, 8)

  def candidate(x):
    y = x @ kernel
    mean, variance = tf.nn.moments(y, [-1], keepdims=True)
    return tf.nn.relu((y - mean) / tf.sqrt(variance + 1e-5) * 1.5 + 0.25)

  assert cause(candidate, np.maximum(TOKENS @ kernel, 0), TOKENS) == "normalization_extra"


def test_batch_statistics_against_moving_ones():
  layer = randomize(LAYERS.BatchNormalization(epsilon=1e-5, dtype="float64"), IMAGE)
  original = F.batch_norm(
    nchw(IMAGE), None, None, t(layer.gamma), t(layer.beta), training=True, eps=1e-5
  )
  assert cause(layer, nhwc(original), IMAGE) == "train_eval_mode"


def test_a_frozen_normalization():
  layer = randomize(LAYERS.BatchNormalization(epsilon=1e-5, dtype="float64"), IMAGE)
  layer.trainable = False
  original = F.batch_norm(
    nchw(IMAGE), None, None, t(layer.gamma), t(layer.beta), training=True, eps=1e-5
  )
  assert cause(layer, nhwc(original), IMAGE, training=True) == "train_eval_mode"


# Activations ------------------------------------------------------------------------------------


def gelu_tanh(x):
  return 0.5 * x * (1 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def test_gelu():
  kernel = normal(8, 8)
  original = F.gelu(t(TOKENS @ kernel)) @ t(kernel)
  assert cause(lambda x: gelu_tanh(x @ kernel) @ kernel, original, TOKENS) == "gelu_form"


@pytest.mark.parametrize(
  "leaky",
  [
    lambda x: tf.nn.leaky_relu(x, 0.2),
    lambda x: tf.maximum(x, 0.2 * x),
    lambda x: tf.where(x > 0, x, x * 0.2),
    lambda x: tf.nn.relu(x) - 0.2 * tf.nn.relu(-x),
  ],
  ids=["operation", "maximum", "where", "two rectifiers"],
)
def test_slope(leaky):
  assert cause(leaky, F.leaky_relu(t(IMAGE), 0.1), IMAGE) == "activation_slope"


@pytest.mark.parametrize(
  ("candidate", "original"),
  [
    (tf.nn.relu, F.silu),
    (tf.nn.silu, F.mish),
    (lambda x: x * tf.sigmoid(1.702 * x), F.gelu),
    (tf.nn.relu, F.relu6),
    (lambda x: tf.maximum(x, 0.1 * x), F.relu),
    (tf.sigmoid, lambda x: x),
    (lambda x: x, F.relu),
    (lambda x: x * tf.nn.relu6(x + 3) / 6, F.silu),
  ],
  ids=[
    "relu-silu",
    "silu-mish",
    "quick-gelu",
    "relu-relu6",
    "leaky-relu",
    "-none",
    "none-",
    "hswish",
  ],
)
def test_another_activation(candidate, original):
  kernel = normal(6, 6)
  x = IMAGE * 3
  expected = original(t(x @ kernel)) @ t(kernel)
  assert cause(lambda x: candidate(x @ kernel) @ kernel, expected, x) == "activation_other"


# Attention --------------------------------------------------------------------------------------


class Attention(LAYERS.Layer):
  """Multi-head self-attention with one projection, and its mistakes."""

  def __init__(self, scale=None, axis=-1, order=(0, 1, 2), heads_last=False, mask=None):
    super().__init__(dtype="float64", name="attention")
    self.qkv, self.out = dense(24), dense(8)
    self.scale, self.axis, self.order, self.mask = scale, axis, order, mask
    self.heads_last = heads_last

  def call(self, x, mask=None):
    n = x.shape[1]
    split = tf.reshape(self.qkv(x), [-1, n, 3, 4, 2] if self.heads_last else [-1, n, 3, 2, 4])
    turn = [2, 0, 4, 1, 3] if self.heads_last else [2, 0, 3, 1, 4]
    parts = tf.unstack(tf.transpose(split, turn))
    q, k, v = (parts[i] for i in self.order)
    scores = tf.matmul(q, k, transpose_b=True)
    scores = scores if self.scale is None else scores * self.scale
    if self.mask is not None and mask is not None:
      scores = self.mask(scores, mask)
    mixed = tf.matmul(tf.nn.softmax(scores, self.axis), v)
    return self.out(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [-1, n, 8]))


def torch_attention(x, layer, mask=None):
  """The standard one: scale 1/√d, heads × d, query-key-value. True in `mask` may be attended."""
  q, k, v = (
    F.linear(t(x), t(layer.qkv.kernel).T, t(layer.qkv.bias))
    .reshape(2, 9, 3, 2, 4)
    .permute(2, 0, 3, 1, 4)
  )
  mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
  mixed = mixed.permute(0, 2, 1, 3).reshape(2, 9, 8)
  return F.linear(mixed, t(layer.out.kernel).T, t(layer.out.bias))


@pytest.mark.parametrize(
  ("mistake", "expected"),
  [
    ({"scale": 8**-0.5}, "attention_scale"),
    ({}, "attention_scale"),
    ({"scale": 0.5, "axis": -2}, "softmax_axis"),
    ({"scale": 0.5, "order": (1, 0, 2)}, "qkv_order"),
    ({"scale": 0.5, "order": (2, 0, 1)}, "qkv_order"),
    ({"scale": 0.5, "heads_last": True}, "head_order"),
  ],
)
def test_attention(mistake, expected):
  layer = randomize(Attention(**mistake), TOKENS)
  assert cause(layer, torch_attention(TOKENS, layer), TOKENS) == expected


def masked(scores, mask):
  return tf.where(mask[:, None, None, :], scores, -1e9)


def masked_by_sum(scores, mask):
  return scores + (1 - tf.cast(mask, scores.dtype))[:, None, None, :] * -1e9


PADDING_MASK = np.arange(9)[None] < np.array([[9], [5]])


@pytest.mark.parametrize("rule", [masked, masked_by_sum])
def test_mask_polarity(rule):
  layer = randomize(Attention(0.5, mask=lambda s, m: rule(s, ~m)), TOKENS)
  original = torch_attention(TOKENS, layer, t(PADDING_MASK)[:, None, None])
  kwargs = {"mask": tf.constant(PADDING_MASK)}
  assert cause(layer, original, TOKENS, kwargs=kwargs) == "mask_polarity"


def test_mask_that_is_not_applied():
  layer = randomize(Attention(0.5), TOKENS)
  original = torch_attention(TOKENS, layer, t(PADDING_MASK)[:, None, None])
  kwargs = {"mask": tf.constant(PADDING_MASK)}
  assert cause(layer, original, TOKENS, kwargs=kwargs) == "mask_missing"


def test_mask_that_the_original_does_not_apply():
  layer = randomize(Attention(0.5, mask=masked), TOKENS)
  kwargs = {"mask": tf.constant(PADDING_MASK)}
  assert cause(layer, torch_attention(TOKENS, layer), TOKENS, kwargs=kwargs) == "mask_missing"


def test_causal_mask_missing():
  layer = randomize(Attention(0.5), TOKENS)
  original = torch_attention(TOKENS, layer, torch.ones(9, 9, dtype=torch.bool).tril())
  assert cause(layer, original, TOKENS) == "mask_missing"


def keras_attention(order="qkv", epsilon=0):
  layer = LAYERS.MultiHeadAttention(2, 4, dtype="float64")
  randomize(layer, TOKENS, TOKENS)
  return layer


def torch_keras_attention(layer, swap=(0, 1, 2)):
  dense_ = [layer._query_dense, layer._key_dense, layer._value_dense]
  dense_ = [dense_[i] for i in swap]
  q, k, v = (
    torch.einsum("bnc,chd->bhnd", t(TOKENS), t(d.kernel)) + t(d.bias)[None, :, None] for d in dense_
  )
  mixed = F.scaled_dot_product_attention(q, k, v)
  return torch.einsum("bhnd,hdc->bnc", mixed, t(layer._output_dense.kernel)) + t(
    layer._output_dense.bias
  )


def test_projections_in_each_others_place():
  layer = keras_attention()
  original = torch_keras_attention(layer, (1, 0, 2))
  assert cause(layer, original, TOKENS, TOKENS) == "qkv_order"


def test_heads_in_the_weights():
  layer = keras_attention()
  kernel = layer._query_dense.kernel.numpy()
  layer._query_dense.kernel.assign(kernel.reshape(8, 4, 2).swapaxes(1, 2))
  original = torch_keras_attention(layer)
  layer._query_dense.kernel.assign(kernel)
  assert cause(layer, original, TOKENS, TOKENS) == "head_order"


# Windows ----------------------------------------------------------------------------------------


def window_attention(x, shift, back, side=4):
  b, h, w, c = x.shape
  x = tf.roll(x, [-shift, -shift], [1, 2])
  x = tf.reshape(x, [b, h // side, side, w // side, side, c])
  x = tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [-1, side * side, c])
  scores = tf.matmul(x, x, transpose_b=True)
  x = tf.matmul(tf.nn.softmax(scores), x)
  x = tf.reshape(x, [b, h // side, w // side, side, side, c])
  x = tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [b, h, w, c])
  return tf.roll(x, [back, back], [1, 2])


def torch_window_attention(x, shift, side=4, masked=False):
  b, h, w, c = x.shape
  x = torch.roll(t(x), (-shift, -shift), (1, 2))
  regions = torch.zeros(h, w, dtype=torch.int64)
  for n, rows in enumerate((slice(-side), slice(-side, -shift), slice(-shift, None))):
    for m, columns in enumerate((slice(-side), slice(-side, -shift), slice(-shift, None))):
      regions[rows, columns] = 3 * n + m

  def cut(y):
    return (
      y.reshape(-1, h // side, side, w // side, side, y.shape[-1])
      .transpose(2, 3)
      .reshape(-1, side * side, y.shape[-1])
    )

  x, ids = cut(x), cut(regions[None, ..., None])
  scores = x @ x.transpose(1, 2)
  if masked:
    scores = scores + torch.where(ids == ids.transpose(1, 2), 0.0, -100.0).repeat(b, 1, 1)
  x = torch.softmax(scores, -1) @ x
  x = x.reshape(b, h // side, w // side, side, side, c).transpose(2, 3).reshape(b, h, w, c)
  return torch.roll(x, (shift, shift), (1, 2)).numpy()


@pytest.mark.parametrize(("shift", "back"), [(-1, -1), (1, -1), (0, 1), (1, 0)])
def test_window_shift(shift, back):
  original = torch_window_attention(IMAGE, 1)
  assert cause(lambda x: window_attention(x, shift, back), original, IMAGE) == "window_shift"


@pytest.mark.parametrize("masked", [False, True])
def test_windows_that_are_not_shifted_at_all(masked):
  def candidate(x):
    b, h, w, c = x.shape
    x = tf.reshape(x, [b, 2, 4, 2, 4, c])
    x = tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [-1, 16, c])
    x = tf.matmul(tf.nn.softmax(tf.matmul(x, x, transpose_b=True)), x)
    x = tf.reshape(x, [b, 2, 2, 4, 4, c])
    return tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [b, h, w, c])

  original = torch_window_attention(IMAGE, 2, masked=masked)
  assert cause(candidate, original, IMAGE) == "window_shift"


def test_mask_of_shifted_windows():
  original = torch_window_attention(IMAGE, 2, masked=True)
  assert cause(lambda x: window_attention(x, 2, 2), original, IMAGE) == "mask_missing"


# Resizing and pooling ---------------------------------------------------------------------------


def test_top_left_against_half_pixel():
  def candidate(x):  # Rows and columns from the top left, as tf.compat.v1 resizes.
    at = np.minimum(np.arange(16) / 2, 7)
    low, high = np.floor(at).astype(int), np.minimum(np.floor(at) + 1, 7).astype(int)
    share = (at - low)[:, None]
    rows = (
      tf.gather(x, low, axis=1) * (1 - share[..., None])
      + tf.gather(x, high, axis=1) * share[..., None]
    )
    return tf.gather(rows, low, axis=2) * (1 - share) + tf.gather(rows, high, axis=2) * share

  original = nhwc(F.interpolate(nchw(IMAGE), scale_factor=2, mode="bilinear"))
  assert cause(candidate, original, IMAGE) == "resize_coordinates"


@pytest.mark.parametrize("size", [(16, 16), (13, 11), (5, 6)])
def test_aligned_corners(size):
  original = nhwc(F.interpolate(nchw(IMAGE), size, mode="bilinear", align_corners=True))
  candidate = lambda x: tf.cast(tf.image.resize(x, size), tf.float64)
  assert cause(candidate, original, IMAGE) == "resize_coordinates"


def test_antialiasing():
  original = F.interpolate(nchw(IMAGE), (5, 5), mode="bilinear", antialias=True)
  candidate = lambda x: tf.cast(tf.image.resize(x, (5, 5)), tf.float64)
  assert cause(candidate, nhwc(original), IMAGE) == "resize_antialias"


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_nearest_instead(mode):
  original = nhwc(F.interpolate(nchw(IMAGE), scale_factor=2, mode=mode))
  candidate = lambda x: tf.repeat(tf.repeat(x, 2, 1), 2, 2)
  assert cause(candidate, original, IMAGE) == "resize_method"


def test_resizing_in_float32():
  original = nhwc(F.interpolate(nchw(IMAGE), scale_factor=2, mode="bilinear"))
  candidate = lambda x: tf.cast(tf.image.resize(x, (16, 16)), tf.float64)
  assert cause(candidate, original, IMAGE) == "precision_lost"


def test_pooling_pads_with_zeros():
  x = IMAGE - 3
  candidate = lambda x: tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
  assert cause(candidate, nhwc(F.max_pool2d(nchw(x), 3, 2, 1)), x) == "pool_padding"


def test_pooling_leaves_out_what_the_original_pads():
  x = IMAGE - 3
  original = nhwc(F.max_pool2d(F.pad(nchw(x), (0, 1, 0, 1)), 2, 1))
  assert cause(lambda x: tf.nn.max_pool2d(x, 2, 1, "SAME"), original, x) == "pool_padding"


def test_pooling_pads_on_the_other_side():
  original = nhwc(F.max_pool2d(nchw(IMAGE), 3, 2, 1))
  assert cause(lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"), original, IMAGE) == "padding"


@pytest.mark.parametrize(
  "original",
  [lambda x: F.max_pool2d(x, 3, 1, 1), lambda x: F.avg_pool2d(x, 3, 1, 1)],
  ids=["maximum", "margin counted"],
)
def test_pool_kind(original):
  candidate = lambda x: tf.nn.avg_pool2d(x, 3, 1, "SAME")
  assert cause(candidate, nhwc(original(nchw(IMAGE))), IMAGE) == "pool_kind"


def test_global_pooling():
  assert cause(lambda x: tf.reduce_mean(x, [1, 2]), IMAGE.max((1, 2)), IMAGE) == "pool_kind"


# Wiring -----------------------------------------------------------------------------------------


def test_residual_left_out():
  block = Block(lambda s, x: s.out(tf.nn.relu(s.dense(x))), dense=dense(16), out=dense(8))
  randomize(block, TOKENS)
  original = TOKENS + block(tf.constant(TOKENS)).numpy()
  assert cause(block, original, TOKENS) == "residual_missing"


def test_residual_too_many():
  block = Block(lambda s, x: x + s.dense(x), dense=dense(8))
  randomize(block, TOKENS)
  original = block(tf.constant(TOKENS)).numpy() - TOKENS
  assert cause(block, original, TOKENS) == "residual_missing"


def test_residual_of_the_normalized():
  def call(self, x):
    y = self.norm(x)
    return y + self.dense(y)

  block = randomize(Block(call, norm=layer_norm(), dense=dense(8)), TOKENS)
  normed = torch_norm(TOKENS, block.norm, 1e-3)
  original = TOKENS + normed @ block.dense.kernel.numpy() + block.dense.bias.numpy()
  assert cause(block, original, TOKENS) == "residual_missing"


@pytest.mark.parametrize("first", [False, True])
def test_norm_before_or_after(first):
  def before(s, x):
    return x + s.dense(s.norm(x))

  def after(s, x):
    return s.norm(x + s.dense(x))

  rules = (before, after) if first else (after, before)
  block = randomize(Block(rules[0], norm=layer_norm(), dense=dense(8)), TOKENS)
  original = rules[1](block, tf.constant(TOKENS))
  assert cause(block, original, TOKENS) == "layer_order"


def test_activation_before_normalization():
  block = Block(
    lambda s, x: s.norm(s.act(s.dense(x))),
    dense=dense(8),
    act=LAYERS.ReLU(dtype="float64"),
    norm=layer_norm(),
  )
  randomize(block, TOKENS)
  original = block.act(block.norm(block.dense(tf.constant(TOKENS))))
  assert cause(block, original, TOKENS) == "layer_order"


def test_functional_activation_before_normalization():
  block = Block(lambda s, x: s.norm(tf.nn.relu(s.dense(x))), dense=dense(8), norm=layer_norm())
  randomize(block, TOKENS)
  original = tf.nn.relu(block.norm(block.dense(tf.constant(TOKENS))))
  assert cause(block, original, TOKENS) == "layer_order"


def test_concatenated_in_another_order():
  other = normal(2, 9, 8, seed=5)
  kernel = normal(16, 4)
  original = np.concatenate([other, TOKENS], -1) @ kernel
  candidate = lambda x, y: tf.concat([x, y], -1) @ kernel
  assert cause(candidate, original, TOKENS, other) == "concat_order"


def test_halves_of_a_gate():
  def candidate(x):
    gate, value = tf.split(x, 2, -1)
    return tf.sigmoid(gate) * value

  value, gate = np.split(TOKENS, 2, -1)
  assert cause(candidate, value / (1 + np.exp(-gate)), TOKENS) == "channels_permuted"


def test_the_other_half():
  candidate = lambda x: tf.nn.relu(x[..., :4])
  assert cause(candidate, np.maximum(TOKENS[..., 4:], 0), TOKENS) == "channels_permuted"


def test_channels_interleaved():
  order = np.arange(8).reshape(2, 4).T.ravel()
  kernel = normal(8, 8)
  assert cause(lambda x: x @ kernel, (TOKENS @ kernel)[..., order], TOKENS) == "channels_permuted"


def test_weights_in_each_others_place():
  block = Block(lambda s, x: s.second(tf.nn.relu(s.first(x))), first=dense(8), second=dense(8))
  randomize(block, TOKENS)
  original = block.first(tf.nn.relu(block.second(tf.constant(TOKENS))))
  assert cause(block, original, TOKENS) == "weights_swapped"


def test_height_and_width():
  kernel = normal(6, 6)
  assert cause(lambda x: x @ kernel, (IMAGE @ kernel).swapaxes(1, 2), IMAGE) == "axes_swapped"


def test_tokens_down_the_columns():
  candidate = lambda x: tf.reshape(x, [2, 64, 6])
  assert cause(candidate, IMAGE.swapaxes(1, 2).reshape(2, 64, 6), IMAGE) == "axes_swapped"


def test_tapped_before_the_activation():
  block = Block(lambda s, x: s.norm(s.dense(x)), dense=dense(8), norm=layer_norm())
  randomize(block, TOKENS)
  kernel = normal(8, 8)
  candidate = lambda x: block(x) @ kernel @ kernel
  original = block(tf.constant(TOKENS)).numpy() @ kernel
  assert cause(candidate, original, TOKENS) == "tap_position"


# Numbers ----------------------------------------------------------------------------------------


def test_factor():
  kernel = normal(8, 8)
  assert cause(lambda x: x @ kernel, TOKENS @ kernel * 0.5, TOKENS) == "constant_factor"


def test_factor_inside():
  kernel = normal(8, 8)
  candidate = lambda x: x + tf.nn.relu(x @ kernel)
  original = TOKENS + 0.25 * np.maximum(TOKENS @ kernel, 0)
  assert cause(candidate, original, TOKENS) == "constant_factor"


def test_offset():
  kernel = normal(8, 8)
  assert cause(lambda x: x @ kernel, TOKENS @ kernel + 0.5, TOKENS) == "constant_offset"


def test_image_normalization():
  x = np.random.default_rng(0).uniform(0, 255, (1, 6, 6, 3))
  mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
  assert cause(lambda x: x / 255, (x / 255 - mean) / deviation, x) == "input_scaling"


def test_float32_inside():
  kernel = normal(8, 8)
  candidate = lambda x: tf.cast(tf.nn.softmax(tf.cast(x @ kernel, tf.float32)), tf.float64)
  assert cause(candidate, torch.softmax(t(TOKENS @ kernel), -1), TOKENS) == "precision_lost"


def test_dropout():
  layer = LAYERS.Dropout(0.3, dtype="float64")
  block = randomize(Block(lambda s, x: s.drop(s.dense(x)), dense=dense(8), drop=layer), TOKENS)
  original = block.dense(tf.constant(TOKENS)).numpy()
  assert cause(block, original, TOKENS, training=True) == "dropout_active"


# Positions --------------------------------------------------------------------------------------


def sines(
  x, *, y_first=True, start=1.0, scale=2 * math.pi, normalized=True, epsilon=1e-6, base=1e4
):
  """DETR's sine encoding of the pixels of [b, h, w, c]."""
  ones = tf.ones(x.shape[:3], x.dtype)
  rows, columns = tf.cumsum(ones, 1) - 1 + start, tf.cumsum(ones, 2) - 1 + start
  if normalized:
    rows = rows / (rows[:, -1:] + epsilon) * scale
    columns = columns / (columns[:, :, -1:] + epsilon) * scale
  powers = base ** (2 * (tf.range(4, dtype=x.dtype) // 2) / 4)
  waves = []
  for axis in (rows, columns):
    angle = axis[..., None] / powers
    wave = tf.stack([tf.sin(angle[..., 0::2]), tf.cos(angle[..., 1::2])], 4)
    waves.append(tf.reshape(wave, [*x.shape[:3], 4]))
  return tf.concat(waves if y_first else waves[::-1], -1)


@pytest.mark.parametrize(
  ("mistake", "expected"),
  [
    ({"y_first": False}, "position_order"),
    ({"start": 0.5}, "position_normalization"),
    ({"scale": 1.0}, "position_normalization"),
    ({"base": 1e3}, "position_normalization"),
    ({"epsilon": 0.1}, "position_normalization"),
    ({"normalized": False}, "position_normalization"),
  ],
)
def test_positions(mistake, expected):
  original = sines(tf.constant(IMAGE))
  assert cause(lambda x: sines(x, **mistake), original, IMAGE) == expected
