"""The loss against transformers' (which for the last layer's output is the original's)."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import torch
from transformers.models.maskformer.modeling_maskformer import (
  MaskFormerHungarianMatcher,
  MaskFormerLoss,
)

from projects.maskformer.losses.criterion import TERMS, maskformer_loss
from projects.maskformer.losses.matcher import LossWeights

_spec = importlib.util.spec_from_file_location(
  "scenes", pathlib.Path(__file__).with_name("scenes.py")
)
scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenes)

WEIGHTS = LossWeights()
UNEVEN = LossWeights(classes=2.0, mask=5.0, dice=3.0, no_object=0.3)
NAMES = dict(zip(TERMS, ("loss_cross_entropy", "loss_mask", "loss_dice"), strict=True))


def _reference(outputs, targets, weights):
  """Terms and gradients of the weighted sum, by transformers in float64."""
  matcher = MaskFormerHungarianMatcher(weights.classes, weights.mask, weights.dice)
  loss = MaskFormerLoss(scenes.CLASSES, matcher, {}, weights.no_object)
  loss.empty_weight = loss.empty_weight.double()
  loss.empty_weight[-1] = weights.no_object
  leaves = scenes.torch_outputs(outputs)
  masks, classes = scenes.torch_targets(targets)
  terms = loss(leaves["mask_logits"], leaves["class_logits"], masks, classes)
  total = sum(
    factor * terms[NAMES[name]]
    for name, factor in zip(TERMS, (weights.classes, weights.mask, weights.dice), strict=True)
  )
  total.backward()
  values = {name: terms[NAMES[name]].item() for name in TERMS} | {"total_loss": total.item()}
  return values, {name: leaf.grad.numpy() for name, leaf in leaves.items()}


def _ours(outputs, targets, weights, name="total_loss"):
  """Terms, and gradients of one of them."""
  outputs, targets = scenes.tensors(outputs), scenes.tensors(targets)
  with tf.GradientTape() as tape:
    tape.watch(outputs)
    losses = maskformer_loss(outputs, targets, weights)
  return losses, tape.gradient(losses[name], outputs)


def _close(actual, desired, rtol=1e-9):
  scale = max(np.abs(desired).max(), 1e-30)
  np.testing.assert_allclose(actual, desired, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("weights", [WEIGHTS, UNEVEN])
@pytest.mark.parametrize("seed", [0, 1])
def test_terms_and_gradients_equal_transformers(seed, weights):
  outputs, targets = scenes.scene(seed)
  values, slopes = _reference(outputs, targets, weights)
  losses, gradients = _ours(outputs, targets, weights)
  assert losses.keys() == values.keys()
  for name, value in values.items():
    assert losses[name].dtype == tf.float64
    _close(losses[name], value)
  for name, slope in slopes.items():
    _close(gradients[name], slope)


@pytest.mark.parametrize("size", [(30, 46), (23, 17)])
def test_sizes_that_are_no_multiple_of_the_stride(size):
  """Nearest and bilinear resizing at scales that are no whole number."""
  outputs, targets = scenes.scene(2, size=size)
  values, slopes = _reference(outputs, targets, WEIGHTS)
  losses, gradients = _ours(outputs, targets, WEIGHTS)
  # There PyTorch takes the scale from rounded numbers.
  _close(losses["total_loss"], values["total_loss"], 1e-6)
  _close(gradients["mask_logits"], slopes["mask_logits"], 1e-6)


def test_each_term_has_its_own_gradient():
  outputs, targets = scenes.scene(3)
  for name, weights in zip(TERMS, np.eye(3), strict=True):
    only = LossWeights(*weights.tolist())
    _, by_total = _ours(outputs, targets, only)
    matched = {key: tf.identity(value) for key, value in by_total.items()}
    # The matching must be the same: it follows the weights.
    losses, by_term = _ours(outputs, targets, only, name)
    assert losses["total_loss"] == losses[name]
    for key, value in matched.items():
      expected = np.zeros(value.shape) if by_term[key] is None else by_term[key]
      np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_auxiliary_outputs_are_matched_and_summed_by_themselves():
  outputs, targets = scenes.scene(4, auxiliary=2)
  losses, gradients = _ours(outputs, targets, WEIGHTS)
  total = 0.0
  for suffix, part in (("", outputs), *((f"_{i}", x) for i, x in enumerate(outputs["auxiliary"]))):
    values, slopes = _reference(part, targets, WEIGHTS)
    for name in TERMS:
      _close(losses[name + suffix], values[name])
    total += values["total_loss"]
    ours = gradients["auxiliary"][int(suffix[1:])] if suffix else gradients
    for name, slope in slopes.items():
      _close(ours[name], slope)
  _close(losses["total_loss"], total)
  assert len(losses) == 3 * 3 + 1


def test_without_any_target():
  """By hand: every query is no object, and the normalizer is 1."""
  outputs, targets = scenes.scene(5, counts=(0, 0))
  losses, gradients = _ours(outputs, targets, WEIGHTS)
  expected = -torch.log_softmax(torch.tensor(outputs["class_logits"]), -1)[..., -1].mean()
  _close(losses["class_loss"], expected.item())
  assert losses["mask_loss"] == 0
  assert losses["dice_loss"] == 0
  np.testing.assert_array_equal(gradients["mask_logits"], 0)
  assert np.abs(gradients["class_logits"]).max() > 0


def test_every_query_has_a_target():
  outputs, targets = scenes.scene(6, counts=(6, 6))
  for key in ("class_logits", "mask_logits"):
    outputs[key] = outputs[key][:, :6]
  values, slopes = _reference(outputs, targets, WEIGHTS)
  losses, gradients = _ours(outputs, targets, WEIGHTS)
  _close(losses["total_loss"], values["total_loss"])
  _close(gradients["mask_logits"], slopes["mask_logits"])


def test_what_padding_holds_does_not_matter():
  outputs, targets = scenes.scene(7)
  losses, gradients = _ours(outputs, targets, WEIGHTS)
  valid = targets["valid"]
  junk = {
    "classes": np.where(valid, targets["classes"], 10**6).astype(np.int32),
    "masks": np.where(valid[..., None, None], targets["masks"], 1).astype(np.uint8),
    "valid": valid,
  }
  again, gradients_again = _ours(outputs, junk, WEIGHTS)
  for name, value in losses.items():
    assert again[name] == value
  np.testing.assert_array_equal(gradients_again["mask_logits"], gradients["mask_logits"])


def test_mask_terms_of_a_batch_are_those_of_its_images():
  outputs, targets = scenes.scene(8)
  counts = targets["valid"].sum(1)
  together, _ = _ours(outputs, targets, WEIGHTS)
  for name in ("mask_loss", "dice_loss"):
    alone = sum(
      float(_ours(*_image(outputs, targets, i), WEIGHTS)[0][name]) * max(count, 1)
      for i, count in enumerate(counts)
    )
    _close(together[name], alone / counts.sum())


def _image(outputs, targets, index):
  pick = lambda tree: {key: value[index : index + 1] for key, value in tree.items()}
  return pick(outputs), pick(targets)


@pytest.mark.parametrize("jit", [False, True])
def test_the_same_in_graphs_and_under_xla(jit):
  outputs, targets = scenes.scene(9, auxiliary=1)
  losses, gradients = _ours(outputs, targets, WEIGHTS)
  step = tf.function(lambda o, t: _ours(o, t, WEIGHTS), jit_compile=jit)
  in_graph, gradients_in_graph = step(scenes.tensors(outputs), scenes.tensors(targets))
  for name, value in losses.items():
    _close(in_graph[name], value, 1e-12)
  for ours, theirs in zip(
    tf.nest.flatten(gradients), tf.nest.flatten(gradients_in_graph), strict=True
  ):
    _close(theirs, ours, 1e-12)


def test_in_a_graph_whose_batch_size_is_open():
  outputs, targets = scenes.scene(10)
  spec = lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype)
  specs = tf.nest.map_structure(spec, (outputs, targets))
  step = tf.function(lambda o, t: _ours(o, t, WEIGHTS), input_signature=specs)
  losses, gradients = step(outputs, targets)
  values, slopes = _reference(outputs, targets, WEIGHTS)
  _close(losses["total_loss"], values["total_loss"])
  _close(gradients["mask_logits"], slopes["mask_logits"])


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_lower_precisions(dtype):
  outputs, targets = scenes.scene(11)
  rounded = {key: tf.cast(value, dtype) for key, value in outputs.items()}
  exact = {key: tf.cast(value, tf.float64).numpy() for key, value in rounded.items()}
  values, slopes = _reference(exact, targets, WEIGHTS)
  losses, gradients = _ours(rounded, targets, WEIGHTS)
  for name, value in values.items():
    assert losses[name].dtype == tf.float32
    _close(losses[name], value, 3e-6)
  assert gradients["mask_logits"].dtype == dtype
  tolerance = 3e-6 if dtype == tf.float32 else 1e-2
  for name, slope in slopes.items():
    _close(tf.cast(gradients[name], tf.float64), slope, tolerance)


def test_logits_that_are_not_finite_end_in_a_loss_that_tells():
  outputs, targets = scenes.scene(12)
  outputs["mask_logits"][0, 0] = np.nan
  losses, _ = _ours(outputs, targets, WEIGHTS)  # One query is lost, the others serve.
  assert np.isfinite(losses["total_loss"])
  outputs["mask_logits"][:] = np.nan
  losses, _ = _ours(outputs, targets, WEIGHTS)
  assert np.isnan(losses["mask_loss"])


def test_nothing_is_changed():
  outputs, targets = scenes.scene(13, auxiliary=1)
  outputs, targets = scenes.tensors(outputs), scenes.tensors(targets)
  copies = tf.nest.map_structure(lambda x: x.numpy().copy(), (outputs, targets))
  keys = [list(outputs), list(targets)]
  first = maskformer_loss(outputs, targets, WEIGHTS)
  second = maskformer_loss(outputs, targets, WEIGHTS)
  assert [list(outputs), list(targets)] == keys
  tf.nest.map_structure(np.testing.assert_array_equal, (outputs, targets), copies)
  assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}
