"""Whole networks of four stages are transformers', deep supervision included, in float64."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from transformers import (
  MaskFormerConfig,
  MaskFormerForInstanceSegmentation,
  ResNetConfig,
  SwinConfig,
)

from benchmarks.parity.cases.block import computing_in, draw_weights
from benchmarks.parity.cases.decoder import DECODER
from benchmarks.parity.cases.heads import MLP_HEAD
from benchmarks.parity.cases.pixel_decoder import PIXEL_DECODER
from benchmarks.parity.cases.resnet import BACKBONE as RESNET
from benchmarks.parity.cases.transformer import detr_config
from official.checkpoints import transfer
from official.checkpoints.rules import Ignore
from official.parity.recorders.keras_names import buffer_names, parameter_names
from projects.maskformer.modeling.backbones.resnet import ResNet
from projects.maskformer.modeling.backbones.swin import Swin
from projects.maskformer.modeling.heads import MaskHeads
from projects.maskformer.modeling.maskformer import MaskFormer
from projects.maskformer.modeling.pixel_decoders.fpn import PixelDecoder
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder
from projects.maskformer.reference.correspondence import Same, under, weights

STAGES = ["stage1", "stage2", "stage3", "stage4"]
CLASSES, QUERIES, DEPTH = 5, 7, 3
_SWIN_BLOCK = (
  Same("layernorm_before", "attention_norm", "norm"),
  Same("attention.self.query", "attention/query", "linear"),
  Same("attention.self.key", "attention/key", "linear"),
  Same("attention.self.value", "attention/value", "linear"),
  Same("attention.self", "attention", "relative_bias"),
  Same("attention.output.dense", "attention/output", "linear"),
  Same("layernorm_after", "mlp_norm", "norm"),
  Same("intermediate.dense", "mlp/expand", "linear"),
  Same("output.dense", "mlp/reduce", "linear"),
)
SWIN = (
  Same("model.embeddings.patch_embeddings.projection", "embedding/projection", "conv"),
  Same("model.embeddings.norm", "embedding/norm", "norm"),
  *under("model.encoder.layers.{s}.blocks.{i}", "stage{s}/block{i}", _SWIN_BLOCK),
  Same("model.encoder.layers.{s}.downsample.norm", "merge{s+1}/norm", "norm"),
  Same("model.encoder.layers.{s}.downsample.reduction", "merge{s+1}/reduction", "linear_no_bias"),
  Same("hidden_states_norms.{s}", "norm{s}", "norm"),
)


def _resnet():
  sizes = {"embedding_size": 8, "hidden_sizes": [12, 16, 20, 24], "depths": [2, 1, 1, 2]}
  return (
    ResNetConfig(**sizes, out_features=STAGES),
    lambda: ResNet(8, (12, 16, 20, 24), (2, 1, 1, 2), frozen=True, name="backbone"),
    RESNET,
  )


def _swin():
  sizes = {"embed_dim": 8, "depths": [2, 1, 2, 1], "num_heads": [2, 2, 4, 4], "window_size": 3}
  return (
    SwinConfig(**sizes, drop_path_rate=0.0, out_features=STAGES),
    lambda: Swin(8, (2, 1, 2, 1), (2, 2, 4, 4), 3, name="backbone"),
    SWIN,
  )


def _original(backbone):
  torch.set_default_dtype(torch.float64)
  try:
    model = MaskFormerForInstanceSegmentation(
      MaskFormerConfig(
        backbone_config=backbone,
        decoder_config=detr_config(num_queries=QUERIES, decoder_layers=DEPTH),
        fpn_feature_size=32,
        mask_feature_size=20,
        num_labels=CLASSES,
      )
    )
  finally:
    torch.set_default_dtype(torch.float32)
  draw_weights(model, 0)
  return model.double().eval()


def _ours(backbone, size):
  with computing_in("float64"):
    model = MaskFormer(
      backbone(),
      PixelDecoder(32, 20, 4, name="pixel_decoder"),
      TransformerDecoder(24, 3, 40, DEPTH, QUERIES, intermediate=True, name="decoder"),
      MaskHeads(CLASSES, 24, 20, name="heads"),
    )
    model(tf.zeros([1, *size, 3], tf.float64))
  return model


def _transfer(original, model, backbone_table):
  encoder = "model.pixel_level_module.encoder"
  table = (
    *under(encoder, "backbone", backbone_table),
    *under("model.pixel_level_module.decoder", "pixel_decoder", PIXEL_DECODER),
    *under("model.transformer_module", "decoder", DECODER),
    Same("class_predictor", "heads/classes", "linear"),
    *under("mask_embedder", "heads/mask_embedding", MLP_HEAD),
  )
  ignored = (
    Ignore("criterion.empty_weight", "the loss's"),
    Ignore(f"{encoder}.model.layernorm.{{name}}", "unused"),
    Ignore("{path*}.relative_position_index", "a constant"),
  )
  arrays = {name: tensor.numpy() for name, tensor in original.state_dict().items()}
  variables = parameter_names(model) | buffer_names(model)
  rules = (*weights(table), *ignored)
  shapes = ({n: a.shape for n, a in arrays.items()}, {n: v.shape for n, v in variables.items()})
  for name, array in transfer.plan(rules, *shapes).forward(arrays).items():
    variables[name].assign(array)


@pytest.mark.parametrize(
  ("make", "size"), [(_resnet, (64, 96)), (_resnet, (75, 50)), (_swin, (64, 96)), (_swin, (77, 50))]
)
def test_outputs_and_gradients_are_transformers(make, size):
  config, backbone, table = make()
  original, model = _original(config), _ours(backbone, size)
  _transfer(original, model, table)
  images = np.random.default_rng(1).normal(size=(2, *size, 3))
  theirs = original(torch.tensor(images).permute(0, 3, 1, 2), output_hidden_states=True)
  with tf.GradientTape() as tape:
    ours = model(tf.constant(images), auxiliary=True)
    loss = tf.reduce_sum(ours["mask_logits"] ** 2) + tf.reduce_sum(ours["class_logits"] ** 2)
  classes, masks = theirs.class_queries_logits, theirs.masks_queries_logits
  _close(ours["class_logits"], classes)
  _close(ours["mask_logits"], masks)
  # transformers' own auxiliary outputs begin with the queries' zeros, and normalize none.
  hidden = theirs.transformer_decoder_hidden_states[1:-1]
  assert len(ours["auxiliary"]) == len(hidden) == DEPTH - 1
  for each, queries in zip(ours["auxiliary"], hidden, strict=True):
    queries = original.model.transformer_module.decoder.layernorm(queries)
    embeddings, pixels = original.mask_embedder(queries), theirs.pixel_decoder_last_hidden_state
    _close(each["class_logits"], original.class_predictor(queries))
    _close(each["mask_logits"], torch.einsum("bqc,bchw->bqhw", embeddings, pixels))
  ((masks**2).sum() + (classes**2).sum()).backward()
  first = model.backbone.trainable_weights[0]
  want = next(original.model.pixel_level_module.encoder.parameters()).grad
  got = tf.transpose(tape.gradient(loss, first), [3, 2, 0, 1])
  assert got.shape == want.shape
  _close(got, want)


def _close(got, want):
  want = want.detach().numpy()
  np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9 * np.abs(want).max())
