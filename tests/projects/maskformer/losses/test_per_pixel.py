"""The per-pixel loss against PyTorch's resizing and cross-entropy, which the original calls."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional

from projects.maskformer.dataloaders.targets import IGNORE
from projects.maskformer.losses.per_pixel import per_pixel_loss

CLASSES, SIZE, STRIDE = 5, (16, 24), 4


def _scene(seed=0, batch=2, dtype=np.float64):
  rng = np.random.default_rng(seed)
  logits = rng.normal(0, 2, [batch, SIZE[0] // STRIDE, SIZE[1] // STRIDE, CLASSES]).astype(dtype)
  labels = rng.integers(-1, CLASSES, [batch, *SIZE]).astype(np.int32)
  return logits, np.where(labels < 0, IGNORE, labels)


def _reference(logits, labels):
  leaf = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
  large = functional.interpolate(
    leaf.permute(0, 3, 1, 2), scale_factor=STRIDE, mode="bilinear", align_corners=False
  )
  loss = functional.cross_entropy(large, torch.tensor(labels).long(), ignore_index=IGNORE)
  loss.backward()
  return loss.item(), leaf.grad.numpy()


def _ours(logits, labels):
  logits = tf.convert_to_tensor(logits)
  with tf.GradientTape() as tape:
    tape.watch(logits)
    losses = per_pixel_loss({"semantic_logits": logits}, {"semantic": labels})
  return losses, tape.gradient(losses["total_loss"], logits)


@pytest.mark.parametrize("seed", [0, 1])
def test_loss_and_gradient_equal_torch(seed):
  logits, labels = _scene(seed)
  value, slope = _reference(logits, labels)
  losses, gradient = _ours(logits, tf.constant(labels))
  np.testing.assert_allclose(losses["semantic_loss"], value, rtol=1e-9)
  np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-9 * np.abs(slope).max())


@pytest.mark.parametrize("jit", [False, True])
def test_the_same_in_graphs_and_under_xla(jit):
  logits, labels = _scene(2)
  losses, gradient = _ours(logits, tf.constant(labels))
  step = tf.function(_ours, jit_compile=jit)
  in_graph, gradient_in_graph = step(tf.constant(logits), tf.constant(labels))
  np.testing.assert_allclose(in_graph["total_loss"], losses["total_loss"], rtol=1e-12)
  np.testing.assert_allclose(gradient_in_graph, gradient, rtol=1e-12, atol=1e-15)


def test_auxiliary_outputs_add_terms():
  (first, labels), (last, _) = _scene(3), _scene(4)
  outputs = {"semantic_logits": tf.constant(last)}
  outputs["auxiliary"] = [{"semantic_logits": tf.constant(first)}]
  losses = per_pixel_loss(outputs, {"semantic": tf.constant(labels)})
  values = [_reference(logits, labels)[0] for logits in (last, first)]
  np.testing.assert_allclose(losses["semantic_loss"], values[0], rtol=1e-9)
  np.testing.assert_allclose(losses["semantic_loss_0"], values[1], rtol=1e-9)
  np.testing.assert_allclose(losses["total_loss"], sum(values), rtol=1e-9)
  assert list(outputs) == ["semantic_logits", "auxiliary"]


def test_without_any_label():
  logits, labels = _scene(5)
  losses, gradient = _ours(logits, tf.fill(labels.shape, IGNORE))
  assert losses["total_loss"] == 0
  np.testing.assert_array_equal(gradient, 0)


def test_bfloat16_is_summed_in_float32():
  logits, labels = _scene(6)
  rounded = tf.cast(logits, tf.bfloat16)
  value, _ = _reference(tf.cast(rounded, tf.float64).numpy(), labels)
  losses, gradient = _ours(rounded, tf.constant(labels))
  assert losses["total_loss"].dtype == tf.float32
  assert gradient.dtype == tf.bfloat16
  np.testing.assert_allclose(losses["total_loss"], value, rtol=1e-6)
