"""Semantic segmentation against what the original made of the same logits."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional

from projects.maskformer.postprocessing.resizing import Frame
from projects.maskformer.postprocessing.semantic import (
  labels,
  per_pixel_rows,
  scores,
  semantic_rows,
)
from tests.projects.maskformer.postprocessing.cases import read_case

ORDERS = pytest.mark.parametrize(("order", "resize_masks"), [("masks", True), ("sums", False)])


@ORDERS
def test_equals_the_original(case, order, resize_masks):
  rows = semantic_rows(case.class_logits, case.mask_logits, case.frame, resize_masks)
  np.testing.assert_array_equal(labels(rows, case.frame), case.outputs[f"labels/{order}"])
  every = scores(rows, case.frame)
  assert every.shape == (*case.frame.original, 133)
  sampled = every.numpy().reshape(-1, 133)[case.outputs["pixels"]]
  np.testing.assert_allclose(sampled, case.outputs[f"scores/{order}"], rtol=0, atol=2e-6)


def test_the_orders_differ(recordings):
  case = read_case(recordings, "tiny")
  assert (case.outputs["labels/masks"] != case.outputs["labels/sums"]).mean() > 0.003


@ORDERS
def test_compiled_as_eager(recordings, order, resize_masks):
  case = read_case(recordings, "tiny")

  @tf.function(jit_compile=True)
  def run(*logits):
    return labels(semantic_rows(*logits, case.frame, resize_masks), case.frame)

  want = case.outputs[f"labels/{order}"]
  np.testing.assert_array_equal(run(case.class_logits, case.mask_logits), want)


def test_float64(recordings):
  case = read_case(recordings, "tiny")
  logits = (np.float64(x) for x in (case.class_logits, case.mask_logits))
  rows = semantic_rows(*logits, case.frame, resize_masks=True)
  every = scores(rows, case.frame, tf.float64).numpy().reshape(-1, 133)[case.outputs["pixels"]]
  # The original's positions are float32.
  np.testing.assert_allclose(every, case.outputs["scores/masks"], rtol=0, atol=1e-5)


def test_per_pixel_logits_are_only_resized():
  logits = np.random.default_rng(0).normal(0, 3, (16, 24, 5)).astype(np.float32)
  frame = Frame((64, 96), (50, 90), (75, 60))
  resize = lambda x, size: functional.interpolate(x, size, mode="bilinear", align_corners=False)
  wide = resize(torch.from_numpy(logits.transpose(2, 0, 1)[None].copy()), frame.padded)
  want = resize(wide[:, :, :50, :90], frame.original)[0].numpy().transpose(1, 2, 0)
  rows = per_pixel_rows(logits, frame)
  np.testing.assert_allclose(scores(rows, frame), want, rtol=0, atol=1e-5)
  np.testing.assert_array_equal(labels(rows, frame), want.argmax(-1))


def test_of_equal_classes_the_first():
  frame = Frame((4, 4), (4, 4), (20, 3))
  assert not labels(per_pixel_rows(tf.zeros([1, 1, 7]), frame), frame).numpy().any()
