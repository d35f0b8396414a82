"""The reference's letterbox and suppression against the project's, on inputs of all kinds."""

import types

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.modeling.decoding import Coordinates
from projects.yolo.modeling.yolo import DetectionLimits, find_objects
from projects.yolo.ops import geometry
from projects.yolo.reference.detection import detect
from projects.yolo.reference.image import letterbox
from tests.projects.yolo.reference import scenes


@pytest.mark.parametrize("shape", [(90, 40), (128, 96), (100, 133), (20, 31), (32, 7), (64, 64)])
def test_letterboxes_agree_up_to_ties_of_rounding(shape):
  image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
  boxed, info = letterbox(image, 64)
  ours, our_info = geometry.letterbox(tf.constant(image), 64)
  apart = np.abs(ours.numpy().astype(int) - boxed)
  assert apart.max() <= 1
  assert (apart > 0).mean() < 0.002
  np.testing.assert_allclose(our_info, info, rtol=1e-6)


@pytest.mark.parametrize(("form", "scale_xy"), [("scaled", 2.0), ("exponential", 1.05)])
@pytest.mark.parametrize("seed", range(2))
def test_both_choose_the_same_detections(seed, form, scale_xy):
  raw, _, _ = scenes.scene(seed, (4, 5))
  raw = {level: array * 2 for level, array in raw.items()}
  limits = {
    "score_threshold": 0.2,
    "iou_threshold": 0.3,
    "candidates": 300,
    "max_detections": 60,
  }
  heads = {
    str(level): types.SimpleNamespace(anchors=scenes.ANCHORS[level], form=form, scale_xy=scale_xy)
    for level in (4, 5)
  }
  want = detect(raw, heads, **limits)
  coordinates = Coordinates(
    form, dict.fromkeys((4, 5), scale_xy), {level: scenes.ANCHORS[level] for level in (4, 5)}
  )
  tensors = {level: tf.constant(array.transpose(0, 2, 3, 1, 4)) for level, array in raw.items()}
  found = find_objects(tensors, dict.fromkeys((4, 5), coordinates), DetectionLimits(**limits))
  assert want["count"].min() > 10
  for name, array in want.items():
    np.testing.assert_allclose(found[name], array, rtol=1e-12, atol=1e-12)


def test_rows_beyond_the_last_detection_are_empty():
  raw, _, _ = scenes.scene(0, (5,))
  head = types.SimpleNamespace(anchors=scenes.ANCHORS[5], form="scaled", scale_xy=2.0)
  found = detect(raw, {"5": head}, 0.5, 0.3, 5, 9)
  for row, count in enumerate(found["count"]):
    assert count <= 5
    assert (found["classes"][row, count:] == -1).all()
    assert not found["scores"][row, count:].any()
    assert not found["boxes"][row, count:].any()
