"""What transformers lacks of the original: deep stems, dilation, the encoder; against PyTorch."""

import numpy as np
import tensorflow as tf
import tf_keras
import torch
from torch.nn import functional

from projects.maskformer.modeling.backbones.resnet import ResNet
from projects.maskformer.modeling.pixel_decoders.transformer_encoder import TransformerEncoder
from projects.maskformer.modeling.position import sine_positions

RNG = np.random.default_rng(9)


def _float64(make, x):
  before = tf_keras.mixed_precision.global_policy()
  tf_keras.mixed_precision.set_global_policy("float64")
  try:
    layer = make()
    layer(tf.constant(x))
  finally:
    tf_keras.mixed_precision.set_global_policy(before)
  for weight in layer.weights:
    values = RNG.normal(0, 1.5 / np.sqrt(max(np.prod(weight.shape[:-1]), 2)), weight.shape)
    weight.assign(np.abs(values) + 0.5 if "variance" in weight.name else values)
  return layer


def _conv(x, layer, strides=1, dilation=1, rectify=True):
  kernel = torch.tensor(layer.conv.kernel.numpy()).permute(3, 2, 0, 1)
  padding = dilation * (kernel.shape[-1] // 2)
  x = functional.conv2d(x, kernel, None, strides, padding, dilation)
  norm = layer.norm
  parts = (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
  x = functional.batch_norm(x, *(torch.tensor(part.numpy()) for part in parts), eps=1e-5)
  return functional.relu(x) if rectify else x


def _bottleneck(x, block, strides, dilation):
  """detectron2's, with `STRIDE_IN_1X1: False`."""
  y = _conv(_conv(x, block.reduce), block.conv, strides, dilation)
  y = _conv(y, block.expand, rectify=False)
  x = _conv(x, block.shortcut, strides, rectify=False) if block.shortcut else x
  return functional.relu(x + y)


def test_r101c_has_detectron2s_stem_and_dilated_last_stage():
  images = RNG.normal(size=[2, 41, 38, 3])
  make = lambda: ResNet(8, (8, 12, 16), (1, 2, 3), True, (1, 2, 4), frozen=True)
  model = _float64(make, images)
  x = torch.tensor(images).permute(0, 3, 1, 2)
  for conv, strides in zip(model.stem.convs, (2, 1, 1), strict=True):
    x = _conv(x, conv, strides)
  x = functional.max_pool2d(x, 3, 2, 1)
  features = []
  for index, stage in enumerate(model.stages):
    dilations = (1, 2, 4) if index == 2 else (1,) * len(stage.blocks)
    for number, (block, dilation) in enumerate(zip(stage.blocks, dilations, strict=True)):
      x = _bottleneck(x, block, 2 if index and not number else 1, dilation)
    features.append(x)
  for got, want in zip(model(tf.constant(images)), features, strict=True):
    np.testing.assert_allclose(got, want.permute(0, 2, 3, 1), rtol=1e-9, atol=1e-9)


def _attend(x, positions, layer):
  attention = layer.attention
  module = torch.nn.MultiheadAttention(attention.width, attention.heads, batch_first=True).double()
  parts = [attention.query, attention.key, attention.value]
  state = {
    "in_proj_weight": np.concatenate([part.kernel.numpy().T for part in parts]),
    "in_proj_bias": np.concatenate([part.bias.numpy() for part in parts]),
    "out_proj.weight": attention.output_projection.kernel.numpy().T,
    "out_proj.bias": attention.output_projection.bias.numpy(),
  }
  module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
  return module(x + positions, x + positions, x)[0]


def _linear(x, layer):
  return functional.linear(
    x, torch.tensor(layer.kernel.numpy().T), torch.tensor(layer.bias.numpy())
  )


def _norm(x, layer):
  parts = torch.tensor(layer.gamma.numpy()), torch.tensor(layer.beta.numpy())
  return functional.layer_norm(x, x.shape[-1:], *parts, 1e-5)


def test_the_encoder_is_the_originals():
  features = RNG.normal(size=[2, 3, 5, 8])
  encoder = _float64(lambda: TransformerEncoder(12, 3, 20, 2), features)
  x = torch.tensor(np.tensordot(features, encoder.projection.kernel[0, 0].numpy(), 1))
  x = (x + torch.tensor(encoder.projection.bias.numpy())).reshape(2, 15, 12)
  positions = sine_positions(tf.ones([2, 3, 5], tf.bool), 12, tf.float64)
  positions = torch.tensor(positions.numpy()).reshape(2, 15, 12)
  for layer in encoder.layers:
    x = _norm(x + _attend(x, positions, layer), layer.attention_norm)
    hidden = functional.relu(_linear(x, layer.mlp.expand))
    x = _norm(x + _linear(hidden, layer.mlp.reduce), layer.mlp_norm)
  want = x.detach().reshape(2, 3, 5, 12)
  np.testing.assert_allclose(encoder(tf.constant(features)), want, rtol=1e-9, atol=1e-10)
