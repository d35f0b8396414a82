"""Each layer: shapes, configuration, gradients; eager, in a graph, under XLA; alone, in a batch."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.attention import Attention
from projects.maskformer.modeling.backbones.conv_norm import FrozenConvNorm
from projects.maskformer.modeling.backbones.patches import PatchEmbedding, PatchMerging
from projects.maskformer.modeling.backbones.resnet import (
  Bottleneck,
  DeepStem,
  ResNet,
  Stage,
  Stem,
)
from projects.maskformer.modeling.backbones.swin import Swin, SwinStage
from projects.maskformer.modeling.backbones.swin_block import SwinBlock, WindowAttention
from projects.maskformer.modeling.heads import MaskHeads, MlpHead
from projects.maskformer.modeling.per_pixel import PerPixelHead, QueryPerClassHead
from projects.maskformer.modeling.pixel_decoders.fpn import (
  ConvGroupNorm,
  PixelDecoder,
  PyramidStep,
)
from projects.maskformer.modeling.pixel_decoders.transformer_encoder import TransformerEncoder
from projects.maskformer.modeling.transformer import DecoderLayer, EncoderLayer, Mlp
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder

_MODES = (False, False, True, True, True)

# Layer, shapes of its inputs without the batch, shapes of its outputs without it.
LAYERS = {
  "attention": (lambda: Attention(12, 3), [(5, 12), (7, 12)], [(5, 12)]),
  "mlp": (lambda: Mlp(10, 6, "gelu"), [(5, 8)], [(5, 6)]),
  "encoder layer": (lambda: EncoderLayer(12, 3, 20, 0.1), [(7, 12)], [(7, 12)]),
  "decoder layer": (lambda: DecoderLayer(12, 3, 20, 0.1), [(5, 12), (7, 12)], [(5, 12)]),
  "decoder": (lambda: TransformerDecoder(12, 3, 20, 2, 5, 0.1), [(3, 4, 8)], [(5, 12)]),
  "decoder of one width": (lambda: TransformerDecoder(12, 3, 20, 1, 5), [(3, 4, 12)], [(5, 12)]),
  "supervised decoder": (
    lambda: TransformerDecoder(12, 3, 20, 2, 5, intermediate=True),
    [(3, 4, 8)],
    [(5, 12), (5, 12)],
  ),
  "encoder": (lambda: TransformerEncoder(12, 3, 20, 2, 0.1), [(3, 4, 8)], [(3, 4, 12)]),
  "mlp head": (lambda: MlpHead(6, 9), [(5, 8)], [(5, 9)]),
  "mask heads": (lambda: MaskHeads(4, 6, 8), [(5, 12), (6, 7, 8)], [(5, 5), (5, 6, 7)]),
  "per-pixel head": (lambda: PerPixelHead(4), [(6, 7, 8)], [(6, 7, 4)]),
  "query per class": (lambda: QueryPerClassHead(6, 8), [(5, 12), (6, 7, 8)], [(5, 6, 7)]),
  "conv group norm": (lambda: ConvGroupNorm(8, 3, groups=4), [(6, 7, 4)], [(6, 7, 8)]),
  "pyramid step": (lambda: PyramidStep(32), [(3, 4, 32), (6, 8, 5)], [(6, 8, 32)]),
  "odd pyramid step": (lambda: PyramidStep(32), [(3, 4, 32), (5, 7, 5)], [(5, 7, 32)]),
  "pixel decoder": (
    lambda: PixelDecoder(32, 6, 3),
    [[(8, 12, 4), (4, 6, 5), (2, 3, 7)]],
    [(8, 12, 6)],
  ),
  "frozen convolution": (lambda: FrozenConvNorm(6, 3, 2, "relu"), [(7, 8, 4)], [(4, 4, 6)]),
  "dilated convolution": (lambda: FrozenConvNorm(6, 3, dilation=2), [(7, 8, 4)], [(7, 8, 6)]),
  "stem": (lambda: Stem(6), [(16, 20, 3)], [(4, 5, 6)]),
  "deep stem": (lambda: DeepStem(6, True), [(16, 20, 3)], [(4, 5, 6)]),
  "bottleneck": (lambda: Bottleneck(32, 2, True), [(6, 7, 8)], [(3, 4, 32)]),
  "stage": (lambda: Stage(32, 2, 2, (1, 2), True), [(6, 8, 8)], [(3, 4, 32)]),
  "resnet": (
    lambda: ResNet(8, (32, 48), (1, 2), True, (1, 2), True),
    [(16, 24, 3)],
    [(4, 6, 32), (2, 3, 48)],
  ),
  "patch embedding": (lambda: PatchEmbedding(6), [(9, 13, 3)], [(3, 4, 6)]),
  "patch merging": (lambda: PatchMerging(), [(5, 6, 4)], [(3, 3, 8)]),
  "window attention": (lambda: WindowAttention(8, 2, 3), [(9, 8)], [(9, 8)]),
  "swin block": (lambda: SwinBlock(8, 2, 3, 1, 0.5), [(5, 7, 8)], [(5, 7, 8)]),
  "swin stage": (lambda: SwinStage(8, 2, 2, 3, (0.0, 0.5)), [(5, 7, 8)], [(5, 7, 8)]),
  "swin": (
    lambda: Swin(8, (2, 1), (2, 2), 3, 0.5),
    [(21, 29, 3)],
    [(6, 8, 8), (3, 4, 16)],
  ),
}


@pytest.fixture(autouse=True)
def float64():
  before = tf_keras.mixed_precision.global_policy()
  tf_keras.mixed_precision.set_global_policy("float64")
  yield
  tf_keras.mixed_precision.set_global_policy(before)


@pytest.fixture(params=list(LAYERS))
def case(request):
  """A layer with random weights, inputs for three images, and shapes of its outputs."""
  make, inputs, outputs = LAYERS[request.param]
  layer, generator = make(), np.random.default_rng(5)
  arrays = [_random(shape, generator) for shape in inputs]
  layer(*arrays)
  layer.set_weights([_random_like(weight, generator) for weight in layer.weights])
  return layer, arrays, outputs


def _random(shape, generator):
  if isinstance(shape, list):
    return [_random(each, generator) for each in shape]
  return tf.constant(generator.normal(size=(3, *shape)))


def _random_like(weight, generator):
  """Kernels keep the variance of what passes them; scales are about 1, so that no channel dies."""
  if weight.shape.rank > 1:
    return generator.normal(0, 1.5 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape)
  scale = "gamma" in weight.name or "variance" in weight.name
  return scale + generator.normal(0, 0.1, weight.shape)


def _close(got, want):
  tf.nest.map_structure(
    lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-10), got, want
  )


def test_shapes_and_float64(case):
  layer, arrays, shapes = case
  outputs = tf.nest.flatten(layer(*arrays))
  assert [tuple(output.shape) for output in outputs] == [(3, *shape) for shape in shapes]
  assert {output.dtype for output in outputs} == {tf.float64}
  assert {weight.dtype for weight in layer.weights} == {tf.float64}


def test_configuration_makes_the_same_layer(case):
  layer, arrays, _ = case
  twin = tf_keras.layers.deserialize(tf_keras.layers.serialize(layer))
  assert type(twin) is type(layer)
  twin(*arrays)
  assert [w.shape for w in twin.weights] == [w.shape for w in layer.weights]
  twin.set_weights(layer.get_weights())
  _close(twin(*arrays), layer(*arrays))
  assert twin.get_config() == layer.get_config()


def test_graph_and_xla_are_eager(case):
  layer, arrays, _ = case
  for jit_compile in (False, True):
    compiled = tf.function(lambda *x: layer(*x), jit_compile=jit_compile)
    _close(compiled(*arrays), layer(*arrays))


def test_an_image_does_not_know_its_batch(case):
  layer, arrays, _ = case
  single = tf.nest.map_structure(lambda x: x[1:2], arrays)
  _close(layer(*single), tf.nest.map_structure(lambda x: x[1:2], layer(*arrays)))


def test_every_weight_has_a_gradient(case):
  layer, arrays, _ = case
  with tf.GradientTape() as tape:
    outputs = tf.nest.flatten(layer(*arrays))
    loss = tf.add_n([tf.reduce_sum(x * tf.random.normal(x.shape, dtype=x.dtype)) for x in outputs])
  gradients = tape.gradient(loss, layer.trainable_weights)
  for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
    assert gradient is not None, weight.name
    if "layer0/self_attention" in weight.name:
      continue  # Queries start at zero: what they see of each other is a constant.
    assert np.abs(gradient).max() > 0, weight.name


@pytest.mark.parametrize(
  "name", ["encoder layer", "decoder layer", "decoder", "encoder", "swin block", "swin"]
)
def test_dropout_drops_in_training_alone(name):
  make, inputs, _ = LAYERS[name]
  layer, generator = make(), np.random.default_rng(5)
  arrays = [_random(shape, generator) for shape in inputs]
  runs = [tf.nest.flatten(layer(*arrays, training=training))[-1] for training in _MODES]
  _close(runs[0], runs[1])
  assert len({run.numpy().tobytes() for run in runs[2:]}) > 1


def test_frozen_normalizations_have_nothing_to_train(case):
  layer, _, _ = case
  for part in layer.submodules:
    if isinstance(part, FrozenConvNorm):
      assert [weight.shape.rank for weight in part.trainable_weights] == [4]
