"""The blocks are what transformers computes, and what the cases say is compared."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from transformers import image_transforms
from transformers.models.maskformer import modeling_maskformer

from benchmarks.parity.blocks import losses
from benchmarks.parity.blocks.preprocess import DEVIATION, MEAN, preprocess
from benchmarks.parity.blocks.training import clip_by_global_norm
from benchmarks.parity.cases.all import BLOCKS, case
from official.parity import session
from projects.maskformer.modeling.backbones import windows
from projects.maskformer.modeling.normalization import GroupNorm
from projects.maskformer.modeling.pixel_decoders.fpn import resize_nearest

RNG = np.random.default_rng(7)


@pytest.mark.parametrize(
  ("name", "other_size", "precision"),
  [
    ("attention", False, "float64"),
    ("encoder_layer", True, "float32"),
    ("patch_merging", False, "bfloat16"),
    ("resnet_stage", False, "float64"),
    ("sine_position", True, "float64"),
  ],
)
def test_clean_cases_raise_no_alarm(name, other_size, precision):
  result = session.run(case(name, other_size), precision, seed=5)
  wrong = [f for s in result.stages for f in s.findings if not f.status.passes]
  assert not wrong
  assert result.same


@pytest.mark.parametrize("sizes", [((3, 4), (7, 9)), ((5, 7), (9, 13)), ((6, 5), (4, 8))])
def test_nearest_and_bilinear_resizing_are_pytorchs(sizes):
  source, target = sizes
  x = RNG.normal(size=(2, *source, 3))
  reference = torch.tensor(x).permute(0, 3, 1, 2)
  nearest = torch.nn.functional.interpolate(reference, target, mode="nearest")
  np.testing.assert_array_equal(
    resize_nearest(tf.constant(x), *target), nearest.permute(0, 2, 3, 1)
  )
  bilinear = torch.nn.functional.interpolate(reference, target, mode="bilinear")[:, 1]
  ours = losses.resize_bilinear(tf.constant(x[..., 1]), *target)
  np.testing.assert_allclose(ours, bilinear, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("size", [(20, 31), (50, 31), (60, 80)])
def test_preprocessing_is_pytorchs_and_transformers(size):
  image = RNG.integers(0, 256, [37, 53, 3], np.uint8)
  pixels = torch.tensor(image, dtype=torch.float64).permute(2, 0, 1)[None]
  resized = torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)[0]
  scaled = image_transforms.rescale(resized.numpy(), 1 / 255, dtype=np.float64)
  want = image_transforms.normalize(scaled, MEAN, DEVIATION).transpose(1, 2, 0)
  np.testing.assert_allclose(preprocess(tf.constant(image), *size, tf.float64)[0], want, atol=1e-13)


def test_loss_terms_are_transformers():
  logits, masks = RNG.normal(size=(4, 35)), RNG.integers(0, 2, (4, 35)).astype(float)
  theirs = [torch.tensor(logits), torch.tensor(masks), 4]
  ours = [tf.constant(logits), tf.constant(masks)]
  pairs = (
    (losses.dice_loss, modeling_maskformer.dice_loss),
    (losses.focal_loss, modeling_maskformer.sigmoid_focal_loss),
  )
  for own, original in pairs:
    np.testing.assert_allclose(own(*ours), original(*theirs), rtol=1e-14)


def test_clipping_is_pytorchs_above_and_below_the_limit():
  gradients = [RNG.normal(size=(3, 4)), RNG.normal(size=5)]
  for limit in (0.01, 1e3):
    parameters = [torch.nn.Parameter(torch.tensor(g)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
      parameter.grad = torch.tensor(gradient)
    torch.nn.utils.clip_grad_norm_(parameters, limit)
    clipped = clip_by_global_norm([tf.constant(g) for g in gradients], limit)
    for ours, parameter in zip(clipped, parameters, strict=True):
      np.testing.assert_allclose(ours, parameter.grad, rtol=1e-14)


def test_group_norm_keeps_its_statistics_in_float32():
  x = RNG.normal(30, 1, (2, 6, 5, 8)).astype(np.float32)
  layer = GroupNorm(4, dtype="mixed_bfloat16")
  rounded = tf.cast(x, tf.bfloat16)
  original = torch.nn.functional.group_norm(
    torch.tensor(tf.cast(rounded, tf.float64).numpy()).permute(0, 3, 1, 2), 4
  )
  error = tf.cast(layer(rounded), tf.float64) - original.permute(0, 2, 3, 1).numpy()
  assert float(tf.reduce_max(tf.abs(error))) < 0.02  # One rounding of values up to 4.


def test_windows_come_apart_and_together_again():
  x = tf.constant(RNG.normal(size=(2, 8, 12, 3)))
  apart = windows.partition(x, 4)
  assert apart.shape == (2 * 6, 16, 3)
  np.testing.assert_array_equal(apart[1], tf.reshape(x[0, :4, 4:8], [16, 3]))
  np.testing.assert_array_equal(windows.merge(apart, 4, 8, 12), x)


def test_every_block_is_generic():
  """No size equals another by accident, so that no axis can stand for another."""
  for name, block in BLOCKS.items():
    for array in block.case().batch(0).values():
      spatial = array.shape[2:] if array.ndim == 4 else ()
      assert len(set(spatial)) == len(spatial), name
