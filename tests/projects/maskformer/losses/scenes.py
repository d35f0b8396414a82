"""Predictions and targets for the tests of losses, for us and for transformers."""

import numpy as np
import tensorflow as tf
import torch

CLASSES, QUERIES, TARGETS = 5, 7, 6
COUNTS = (3, 5, 0)  # Valid targets of each image; they are not the first ones.
SIZE, STRIDE = (16, 24), 4


def scene(seed=0, counts=COUNTS, auxiliary=0, size=SIZE, stride=STRIDE, dtype=np.float64):
  """Outputs and targets in NumPy, as the contract of `maskformer_loss` has them."""
  rng = np.random.default_rng(seed)
  outputs = [_outputs(rng, len(counts), size, stride, dtype) for _ in range(auxiliary + 1)]
  valid = np.stack([rng.permutation(TARGETS) < count for count in counts])
  targets = {
    "classes": np.where(valid, rng.integers(0, CLASSES, valid.shape), -7).astype(np.int32),
    "masks": (rng.random([*valid.shape, *size]) < 0.4).astype(np.uint8),
    "valid": valid,
  }
  result = dict(outputs[-1])
  if auxiliary:
    result["auxiliary"] = outputs[:-1]
  return result, targets


def _outputs(rng, batch, size, stride, dtype):
  shape = [batch, QUERIES, size[0] // stride, size[1] // stride]
  return {
    "class_logits": rng.normal(0, 2, [batch, QUERIES, CLASSES + 1]).astype(dtype),
    "mask_logits": rng.normal(0, 2, shape).astype(dtype),
  }


def tensors(tree):
  return tf.nest.map_structure(tf.convert_to_tensor, tree)


def torch_targets(targets, dtype=torch.float64):
  """Lists of masks and of classes, one an image, without padding."""
  masks = [
    torch.from_numpy(masks[valid]).to(dtype)
    for masks, valid in zip(targets["masks"], targets["valid"], strict=True)
  ]
  classes = [
    torch.from_numpy(classes[valid]).long()
    for classes, valid in zip(targets["classes"], targets["valid"], strict=True)
  ]
  return masks, classes


def torch_outputs(outputs):
  """Leaves that take gradients."""
  return {
    name: torch.tensor(outputs[name], requires_grad=True)
    for name in ("class_logits", "mask_logits")
  }
