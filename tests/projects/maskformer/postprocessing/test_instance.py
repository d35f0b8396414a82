"""Instances against transformers' rule on the same logits."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import torch
from transformers.models.maskformer.image_processing_pil_maskformer import (
  MaskFormerImageProcessorPil,
)

from projects.maskformer.postprocessing.instance import instances
from projects.maskformer.postprocessing.resizing import Frame, by_stripes, rows_of
from tests.projects.maskformer.postprocessing.cases import THINGS, read_case

ALL = np.ones(133, bool)


def _unresized(case):
  return Frame(*(case.mask_logits.shape[1:],) * 3)


def _transformers(case, threshold):
  """Scores, classes and masks of the instances above a threshold, the best first."""
  outputs = SimpleNamespace(
    class_queries_logits=torch.from_numpy(case.class_logits)[None],
    masks_queries_logits=torch.from_numpy(case.mask_logits)[None],
  )
  found = MaskFormerImageProcessorPil().post_process_instance_segmentation(
    outputs, threshold, return_binary_maps=True
  )[0]
  scores = np.array([row["score"] for row in found["segments_info"]])
  classes = np.array([row["label_id"] for row in found["segments_info"]])
  order = np.argsort(-scores)
  return scores[order], classes[order], found["segmentation"].numpy()[order] > 0


@pytest.mark.parametrize("name", ["clean", "crowded", "tiny"])
def test_equals_transformers_where_nothing_is_resized(recordings, name):
  case = read_case(recordings, name)
  found = instances(case.class_logits, case.mask_logits, _unresized(case), ALL)
  assert len(found.scores) == len(case.class_logits)
  scores, classes, masks = _transformers(case, threshold=0.0)
  got_scores = found.scores.numpy()
  order = np.argsort(-got_scores)[: len(scores)]  # transformers leaves out empty masks.
  assert not got_scores[np.argsort(-got_scores)[len(scores) :]].any()
  np.testing.assert_allclose(got_scores[order], scores, atol=1e-6)
  gaps = np.diff(scores, prepend=2, append=-1)
  alone = (gaps[:-1] < -3e-6) & (gaps[1:] < -3e-6)  # Twins may come in either order.
  assert alone.mean() > 0.6
  np.testing.assert_array_equal(found.classes.numpy()[order][alone], classes[alone])
  got_masks = np.moveaxis(found.masks.numpy()[..., found.queries.numpy()[order]], -1, 0)
  np.testing.assert_array_equal(got_masks[alone], masks[alone])


def test_masks_at_the_original_size(recordings):
  case = read_case(recordings, "much padding")
  found = instances(case.class_logits, case.mask_logits, case.frame, ALL)
  assert found.masks.shape == (*case.frame.original, len(case.class_logits))
  logits = tf.transpose(case.mask_logits, [1, 2, 0])
  resized = by_stripes(rows_of(logits, case.frame), case.frame, tf.float32).numpy()
  np.testing.assert_array_equal(found.masks, resized > 0)
  inside = np.where(resized > 0, 1 / (1 + np.exp(-np.float64(resized))), 0).sum((0, 1))
  quality = inside / ((resized > 0).sum((0, 1)) + 1e-6)
  probabilities = tf.nn.softmax(np.float64(case.class_logits)).numpy()
  queries, classes = found.queries.numpy(), found.classes.numpy()
  np.testing.assert_allclose(
    found.scores, quality[queries] * probabilities[queries, classes], rtol=1e-5
  )


def test_only_things(recordings):
  case = read_case(recordings, "clean")
  found = instances(case.class_logits, case.mask_logits, _unresized(case), THINGS)
  assert len(found.scores) == len(case.class_logits)
  assert found.classes.numpy().max() < 80
  probabilities = tf.nn.softmax(case.class_logits).numpy()[:, :80]
  chosen = probabilities[found.queries.numpy(), found.classes.numpy()]
  np.testing.assert_array_equal(chosen, np.sort(probabilities.ravel())[::-1][: len(chosen)])


def test_compiled_as_eager(recordings):
  case = read_case(recordings, "tiny")
  run = lambda *logits: instances(*logits, _unresized(case), THINGS)
  logits = (case.class_logits, case.mask_logits)
  for got, want in zip(tf.function(run, jit_compile=True)(*logits), run(*logits), strict=True):
    np.testing.assert_allclose(np.float32(got), np.float32(want), atol=1e-6)


def test_an_empty_mask_scores_nothing():
  class_logits = np.float64([[5, 0, 0], [4, 0, 0]])
  mask_logits = np.float64([[[-1, -2]], [[3, -2]]])
  found = instances(class_logits, mask_logits, Frame(*((1, 2),) * 3), np.array([True, True]))
  assert found.queries.numpy().tolist() == [0, 1]
  assert found.classes.numpy().tolist() == [0, 0]
  chance = np.exp(4) / (np.exp(4) + 2) / (1 + np.exp(-3))
  np.testing.assert_allclose(found.scores, [0, chance], rtol=2e-6)
