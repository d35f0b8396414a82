"""The reference's loss and the project's against numbers of ScaledYOLOv4's own code."""

import types

import numpy as np
import pytest
import tensorflow as tf
import torch

from projects.yolo.losses.yolo_loss import LossWeights, yolo_loss
from projects.yolo.modeling.decoding import Coordinates
from projects.yolo.reference.loss import Gains, compute_loss
from tests.projects.yolo.reference import scenes

TERMS = ("box_loss", "objectness_loss", "class_loss")
# The original adds 1e-9 to the boxes' heights.
TOLERANCE = {"rtol": 1e-8, "atol": 1e-10}

every_scene = pytest.mark.parametrize(
  ("seed", "levels"), [(seed, levels) for seed in scenes.SEEDS for levels in scenes.LEVELS]
)


def heads(levels, form="scaled", scale_xy=2.0):
  return {
    str(level): types.SimpleNamespace(anchors=scenes.ANCHORS[level], form=form, scale_xy=scale_xy)
    for level in levels
  }


def reference(raw, boxes, classes, valid, heads, gains=None):
  """Terms, "total" and gradients by level."""
  tensors = {level: torch.tensor(array, requires_grad=True) for level, array in raw.items()}
  arguments = (torch.tensor(array) for array in (boxes, classes, valid))
  losses = compute_loss(tensors, heads, *arguments, gains or Gains())
  losses["total"].backward()
  gradients = {level: tensor.grad.numpy() for level, tensor in tensors.items()}
  return {name: loss.item() for name, loss in losses.items()}, gradients


def ours(raw, boxes, classes, valid, coordinates):
  """The same of the project's loss."""
  tensors = {level: tf.constant(array.transpose(0, 2, 3, 1, 4)) for level, array in raw.items()}
  labels = {"boxes": boxes, "classes": classes.astype(np.int32), "valid": valid}
  with tf.GradientTape() as tape:
    tape.watch(tensors)
    losses = yolo_loss(tensors, labels, coordinates, LossWeights())
  gradients = tape.gradient(losses["total_loss"], tensors)
  found = {level: g.numpy().transpose(0, 3, 1, 2, 4) for level, g in gradients.items()}
  losses["total"] = losses.pop("total_loss")
  return {name: loss.numpy() for name, loss in losses.items()}, found


def check(found, want, name):
  losses, gradients = found
  np.testing.assert_allclose([losses[k] for k in (*TERMS, "total")], want[name], **TOLERANCE)
  for level, gradient in gradients.items():
    np.testing.assert_allclose(scenes.digest(gradient), want[f"{name}/{level}"], **TOLERANCE)


@every_scene
def test_the_reference_is_the_original(seed, levels, independent):
  raw, boxes, classes = scenes.scene(seed, levels)
  found = reference(raw, boxes, classes, np.ones(classes.shape, bool), heads(levels))
  check(found, independent, f"loss/{seed}/{''.join(map(str, levels))}")


@every_scene
def test_ours_is_the_original(seed, levels, independent):
  raw, boxes, classes = scenes.scene(seed, levels)
  coordinates = Coordinates(
    "scaled", dict.fromkeys(levels, 2.0), {level: scenes.ANCHORS[level] for level in levels}
  )
  found = ours(raw, boxes, classes, np.ones(classes.shape, bool), coordinates)
  check(found, independent, f"loss/{seed}/{''.join(map(str, levels))}")


@pytest.mark.parametrize(("form", "scale_xy"), [("scaled", 2.0), ("exponential", 1.05)])
@pytest.mark.parametrize("seed", range(4))
def test_crowded_scenes_with_padding(seed, form, scale_xy):
  levels = (3, 4, 5)
  raw, boxes, classes = scenes.scene(seed, levels, objects=12)
  valid = np.random.default_rng(seed).random(classes.shape) < 0.7
  boxes[~valid], classes[~valid] = 0, -1
  coordinates = Coordinates(
    form, dict.fromkeys(levels, scale_xy), {level: scenes.ANCHORS[level] for level in levels}
  )
  want, gradients = reference(raw, boxes, classes, valid, heads(levels, form, scale_xy))
  found, own_gradients = ours(raw, boxes, classes, valid, coordinates)
  assert found == pytest.approx(want, rel=1e-11)
  for level, gradient in gradients.items():
    np.testing.assert_allclose(own_gradients[level], gradient, rtol=1e-9, atol=1e-14)


def test_without_objects_only_objectness_is_left():
  levels = (4, 5)
  raw, boxes, classes = scenes.scene(0, levels)
  valid = np.zeros(classes.shape, bool)
  losses, gradients = reference(raw, boxes, classes, valid, heads(levels))
  assert losses["box_loss"] == losses["class_loss"] == 0
  assert losses["total"] == losses["objectness_loss"] > 0
  assert all(np.count_nonzero(g) == g[..., 4].size for g in gradients.values())


def test_gains_weigh_their_terms():
  raw, boxes, classes = scenes.scene(1, (4, 5))
  valid = np.ones(classes.shape, bool)
  plain, _ = reference(raw, boxes, classes, valid, heads((4, 5)))
  gains = Gains(box=0.1, objectness=3.0, classes=2.0)
  weighed, _ = reference(raw, boxes, classes, valid, heads((4, 5)), gains)
  assert [weighed[t] / plain[t] for t in TERMS] == pytest.approx([2, 3, 4])
