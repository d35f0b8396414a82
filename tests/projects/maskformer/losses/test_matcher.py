"""Costs and matches against transformers' matcher, which is the original's."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional
from transformers.models.maskformer.modeling_maskformer import (
  MaskFormerHungarianMatcher,
  pair_wise_dice_loss,
  pair_wise_sigmoid_focal_loss,
)

from projects.maskformer.losses.matcher import LossWeights, match, matching_cost
from projects.maskformer.losses.resizing import nearest

_spec = importlib.util.spec_from_file_location(
  "scenes", pathlib.Path(__file__).with_name("scenes.py")
)
scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenes)


@pytest.mark.parametrize("which", range(3))
def test_each_cost_equals_transformers(which):
  outputs, targets = scenes.scene(which)
  small = targets["masks"][:, :, ::4, ::4]
  classes = np.maximum(targets["classes"], 0)
  weights = LossWeights(*np.eye(3)[which].tolist())
  cost = matching_cost(
    *(tf.constant(outputs[key]) for key in ("class_logits", "mask_logits")), classes, small, weights
  )
  for image in range(len(small)):
    logits = torch.tensor(outputs["mask_logits"][image]).flatten(1)
    masks = torch.tensor(small[image]).double().flatten(1)
    shares = torch.tensor(outputs["class_logits"][image]).softmax(-1)
    theirs = (
      -shares[:, classes[image]],
      pair_wise_sigmoid_focal_loss(logits, masks),
      pair_wise_dice_loss(logits, masks),
    )
    np.testing.assert_allclose(cost[image], theirs[which], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weights", [LossWeights(), LossWeights(3.0, 1.0, 5.0)])
def test_matches_equal_transformers(seed, weights):
  outputs, targets = scenes.scene(seed)
  matcher = MaskFormerHungarianMatcher(weights.classes, weights.mask, weights.dice)
  leaves = scenes.torch_outputs(outputs)
  pairs = matcher(leaves["mask_logits"], leaves["class_logits"], *scenes.torch_targets(targets))
  queries = match(scenes.tensors(outputs), scenes.tensors(targets), weights).numpy()
  for image, (rows, columns) in enumerate(pairs):
    valid = targets["valid"][image]
    np.testing.assert_array_equal(queries[image, valid][columns], rows)
    assert (queries[image, ~valid] == -1).all()


@pytest.mark.parametrize("size", [(4, 6), (5, 9), (7, 3), (16, 24)])
def test_nearest_equals_torch(size):
  masks = np.random.default_rng(0).integers(0, 2, [2, 3, 16, 24]).astype(np.uint8)
  theirs = functional.interpolate(torch.tensor(masks).float(), size=size, mode="nearest")
  np.testing.assert_array_equal(nearest(tf.constant(masks), *size), theirs.numpy())


def test_no_gradient_passes():
  outputs, targets = scenes.scene(0)
  outputs, targets = scenes.tensors(outputs), scenes.tensors(targets)
  with tf.GradientTape() as tape:
    tape.watch(outputs)
    queries = match(outputs, targets, LossWeights())
    total = tf.reduce_sum(tf.cast(queries, tf.float64))
  assert all(x is None for x in tf.nest.flatten(tape.gradient(total, outputs)))
