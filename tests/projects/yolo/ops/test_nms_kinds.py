"""The kinds of suppression against yolov7's recorded detections, and loops that are written out."""

import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from projects.yolo.configs.yolo import Detection
from projects.yolo.modeling.yolo import DetectionLimits
from projects.yolo.ops.matrix_nms import decay
from projects.yolo.ops.nms import KINDS, detect
from tests.projects.yolo.ops import nms_recipe

RECORDED = pathlib.Path(__file__).with_name("nms.npz")
SIGMA = 0.5


def _detect(boxes, scores, kind, **changes):
  limits = nms_recipe.THRESHOLDS | {"candidates": 1500, "max_detections": 300} | changes
  found = detect(tf.constant(boxes)[None], tf.constant(scores)[None], kind=kind, **limits)
  count = int(found["count"][0])
  return [found[name][0, :count].numpy() for name in ("boxes", "scores", "classes")]


def _recorded(kind, scene):
  rows = np.load(RECORDED)[f"{kind}/{scene}"]
  return rows[:, [1, 0, 3, 2]], rows[:, 4], rows[:, 5]


def _assert_same(found, want):
  assert len(found[0]) == len(want[0]) > 30
  np.testing.assert_array_equal(found[2], want[2])
  np.testing.assert_allclose(found[1], want[1], rtol=1e-12)
  np.testing.assert_allclose(found[0], want[0], rtol=1e-9)


# 1,500 of the 12,046 pairs of "dense" do not hold all its class-agnostic survivors, see below.
CASES = set(itertools.product(("class_wise", "class_agnostic", "weighted"), nms_recipe.SCENES))


@pytest.mark.parametrize(("kind", "scene"), sorted(CASES - {("class_agnostic", "dense")}))
def test_equals_the_original_box_by_box(kind, scene):
  found = _detect(*nms_recipe.box_and_scores(scene), kind)
  _assert_same(found, _recorded(kind, scene))


def test_the_recordings_differ_by_kind():
  boxes = {kind: _recorded(kind, "sparse")[0] for kind in ("class_wise", "weighted")}
  apart = np.abs(boxes["class_wise"][:, None] - boxes["weighted"]).max(-1).min(0)
  assert (apart > 0.1).mean() > 0.9


@pytest.mark.parametrize("kind", ["class_wise", "class_agnostic"])
def test_fewer_candidates_give_the_head_of_the_original(kind):
  want = _recorded(kind, "dense")
  found = _detect(*nms_recipe.box_and_scores("dense"), kind, candidates=300)
  assert len(found[0]) < len(want[0])
  _assert_same(found, [part[: len(found[0])] for part in want])


def test_weighted_loses_the_votes_of_candidates_that_are_left_out():
  scene = nms_recipe.box_and_scores("sparse")
  found, want = _detect(*scene, "weighted", candidates=400), _recorded("weighted", "sparse")
  matching = [list(want[1]).index(score) for score in found[1] if score in want[1]]
  assert len(matching) > 5
  assert np.abs(found[0][0] - want[0][matching[0]]).max() < 50
  assert len(found[0]) < len(want[0])


BOXES = np.array([[0, 0, 10, 10], [0, 2, 10, 12], [50, 50, 60, 60.0]])


def test_weighted_by_hand():
  boxes, scores, _ = _detect(BOXES, np.array([[0.6], [0.3], [0.5]]), "weighted")
  np.testing.assert_allclose(boxes, [[0, 2 / 3, 10, 32 / 3]])
  np.testing.assert_allclose(scores, [0.6])


def test_weighted_leaves_a_single_candidate():
  boxes, _, _ = _detect(BOXES[:1], np.array([[0.6]]), "weighted")
  np.testing.assert_array_equal(boxes, BOXES[:1])


@pytest.mark.parametrize(("count", "found"), [(2999, 0), (3000, 1000)])
def test_weighted_merges_fewer_than_3000(count, found):
  boxes = np.arange(count)[:, None] * 20.0 + [0, 0, 10, 10]
  kept = _detect(boxes, np.full([count, 1], 0.5), "weighted", candidates=1000, max_detections=1000)
  assert len(kept[0]) == found


def test_weighted_drops_the_lone_after_the_cap():
  found = _detect(BOXES[[2, 0, 1]], np.array([[0.9], [0.6], [0.3]]), "weighted", max_detections=1)
  assert len(found[0]) == 0


def test_boxes_without_area_stay_finite():
  boxes = np.concatenate([BOXES, np.full([1, 4], 7.0)])
  for kind in KINDS:
    found = _detect(boxes, np.array([[0.6], [0.3], [0.5], [0.8]]), kind)
    assert all(np.isfinite(part).all() for part in found)


def test_a_score_at_the_threshold_is_dropped():
  found = _detect(BOXES, np.array([[0.5], [0.1], [0.25]]), "class_wise", score_threshold=0.25)
  np.testing.assert_array_equal(found[1], [0.5])


def _iou(a, b):
  sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
  return sides.prod() / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - sides.prod())


def _matrix(boxes, scores, form):
  """Equation 5 of SOLOv2 pair by pair: {(box, class): decayed score}."""
  pairs = sorted(np.ndindex(scores.shape), key=lambda pair: -scores[pair])
  worst, decayed = {}, {}
  for j, pair in enumerate(pairs):
    rivals = [other for other in pairs[:j] if other[1] == pair[1]]
    overlaps = {other: _iou(boxes[pair[0]], boxes[other[0]]) for other in rivals}
    worst[pair] = max(overlaps.values(), default=0)
    factors = [form(overlap) / form(worst[other]) for other, overlap in overlaps.items()]
    decayed[pair] = scores[pair] * min([1, *factors])
  return decayed


DECAYS = {
  "matrix_linear": lambda overlap: 1 - overlap,
  "matrix_gaussian": lambda overlap: np.exp(-(overlap**2) / SIGMA),
}


@pytest.mark.parametrize("kind", DECAYS)
def test_matrix_equals_the_papers_equation(kind):
  boxes, scores = nms_recipe.box_and_scores("sparse")
  boxes, scores = boxes[:60], np.random.default_rng(0).uniform(0.1, 1, [60, 3])
  want = _matrix(boxes, scores, DECAYS[kind])
  want = sorted(((s, *pair) for pair, s in want.items() if s > 0.2), reverse=True)
  found = _detect(boxes, scores, kind, score_threshold=0.2)
  assert 10 < len(want) < (scores > 0.2).sum()
  np.testing.assert_allclose(found[1], [s for s, _, _ in want], rtol=1e-9)
  np.testing.assert_array_equal(found[0], [boxes[box] for _, box, _ in want])
  np.testing.assert_array_equal(found[2], [c for _, _, c in want])


@pytest.mark.parametrize("kind", DECAYS)
def test_matrix_decays_equal_boxes(kind):
  found = _detect(BOXES[[0, 0, 0]], np.array([[0.9], [0.8], [0.7]]), kind, score_threshold=0.15)
  assert found[1][0] == 0.9
  if kind == "matrix_linear":
    assert len(found[0]) == 1


@pytest.mark.parametrize("kind", DECAYS)
def test_matrix_is_finite_among_equal_boxes(kind):
  decayed = decay(tf.ones([1, 3, 3]), tf.constant([[0.9, 0.8, 0.7]]), kind)
  assert np.isfinite(decayed).all()


@pytest.mark.parametrize("kind", KINDS)
def test_xla_equals_eager(kind):
  boxes, scores = nms_recipe.box_and_scores("one class")
  limits = nms_recipe.THRESHOLDS | {"candidates": 200, "max_detections": 50, "kind": kind}
  inputs = [tf.constant(part[None], tf.float32) for part in (boxes, scores)]
  eager = detect(*inputs, **limits)
  compiled = tf.function(lambda *args: detect(*args, **limits), jit_compile=True)(*inputs)
  for key, value in eager.items():
    np.testing.assert_allclose(compiled[key], value, rtol=1e-5, atol=1e-4)
    assert compiled[key].shape == value.shape


@pytest.mark.parametrize("kind", KINDS)
def test_the_configuration_names_a_kind(kind):
  assert DetectionLimits(**Detection(kind=kind).as_dict()).kind == kind


def test_an_unknown_kind_is_told():
  with pytest.raises(
    UserError, match=r"task\.model\.detection\.kind 'soft': use one of class_wise"
  ):
    DetectionLimits(**Detection(kind="soft").as_dict())
