"""Panoptic segmentation against what the original made of the same logits, and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from projects.maskformer.postprocessing.panoptic import confident, panoptic
from projects.maskformer.postprocessing.resizing import Frame, rows_of
from tests.projects.maskformer.postprocessing.cases import THINGS, THRESHOLDS, read_case

NEAR_TIE = 4e-7  # Relative: what float32 leaves open.


def _rows(segmentation, things=THINGS):
  classes = segmentation.classes[: int(segmentation.count)].numpy().tolist()
  return [[place, index, int(things[index])] for place, index in enumerate(classes, 1)]


def _near_ties(case, object_threshold):
  """Where the two best queries are equal within rounding, in float64."""
  class_logits, mask_logits = (np.float64(x) for x in (case.class_logits, case.mask_logits))
  rows = rows_of(tf.transpose(mask_logits, [1, 2, 0]), case.frame)
  probabilities = tf.nn.softmax(class_logits).numpy()
  scores = probabilities.max(-1)
  kept = (probabilities.argmax(-1) != 133) & (scores > object_threshold)

  def margin(row):
    best = np.sort(scores[kept] * tf.sigmoid(rows(row[None])[0]).numpy()[:, kept])[:, -2:]
    return 1 - best[:, 0] / best[:, 1]

  return lambda pixels: [margin(y)[x] < NEAR_TIE for y, x in pixels]


@pytest.mark.parametrize("place", range(len(THRESHOLDS)))
def test_equals_the_original(case, place):
  thresholds = THRESHOLDS[place]
  got = panoptic(case.class_logits, case.mask_logits, case.frame, THINGS, *thresholds)
  assert _rows(got) == case.outputs[f"segments/{place}"].tolist()
  different = np.argwhere(got.ids.numpy() != case.outputs[f"ids/{place}"])
  # One of 4 million pixels: the queries' products are 9e-8 apart.
  assert len(different) <= 1
  assert all(_near_ties(case, thresholds[0])(different))


def test_the_same_of_the_confident_queries_alone(case):
  whole = panoptic(case.class_logits, case.mask_logits, case.frame, THINGS)
  logits = confident(case.class_logits, case.mask_logits)
  assert len(logits[0]) < len(case.class_logits)
  alone = panoptic(*logits, case.frame, THINGS)
  np.testing.assert_array_equal(alone.ids, whole.ids)
  count = int(whole.count)
  assert int(alone.count) == count
  for name in ("classes", "scores", "areas"):
    first, second = (getattr(each, name)[:count] for each in (alone, whole))
    np.testing.assert_array_equal(first, second)


def test_scores_areas_and_empty_places(recordings):
  case = read_case(recordings, "crowded")
  got = panoptic(case.class_logits, case.mask_logits, case.frame, THINGS)
  count = int(got.count)
  areas = np.bincount(got.ids.numpy().ravel(), minlength=len(got.areas) + 1)[1:]
  np.testing.assert_array_equal(got.areas, areas)
  assert (got.classes[count:].numpy() == -1).all()
  assert not got.scores[count:].numpy().any()
  probabilities = tf.nn.softmax(np.float64(case.class_logits)).numpy()
  for index, score in zip(got.classes[:count].numpy(), got.scores[:count].numpy(), strict=True):
    assert score > 0.8
    assert np.isclose(probabilities[:, index], score, rtol=1e-6).any()


@pytest.mark.parametrize("compiled", [False, True])
def test_traced_and_compiled_as_eager(recordings, compiled):
  case = read_case(recordings, "tiny")
  eager = panoptic(case.class_logits, case.mask_logits, case.frame, THINGS)
  traced = tf.function(lambda *logits: panoptic(*logits, case.frame, THINGS), jit_compile=compiled)
  for got, want in zip(traced(case.class_logits, case.mask_logits), eager, strict=True):
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_sizes_may_be_tensors(recordings):
  case = read_case(recordings, "much padding")
  eager = panoptic(case.class_logits, case.mask_logits, case.frame, THINGS)

  @tf.function(
    input_signature=[
      tf.TensorSpec([None, 134]),
      tf.TensorSpec([None, None, None]),
      tf.TensorSpec([3, 2], tf.int32),
    ]
  )
  def serve(class_logits, mask_logits, sizes):
    return panoptic(class_logits, mask_logits, Frame(*tf.unstack(sizes)), THINGS)

  got = serve(case.class_logits, case.mask_logits, tf.constant(case.frame))
  np.testing.assert_array_equal(got.ids, eager.ids)


def _line(probabilities, masks, things, **thresholds):
  """One row of pixels: class probabilities [q, c + 1] and mask probabilities [q, w] (of 1/2 a logit
  of 0 exactly), where nothing is resized."""
  class_logits = np.log(np.float64(probabilities))
  masks = np.float64(masks)[:, None]
  mask_logits = np.log(masks) - np.log1p(-masks)
  frame = Frame(*(mask_logits.shape[1:],) * 3)
  got = panoptic(class_logits, mask_logits, frame, np.array(things), **thresholds)
  count = int(got.count)
  return got.ids[0].numpy().tolist(), got.classes[:count].numpy().tolist()


def test_a_query_that_keeps_just_enough_of_its_mask_stays():
  # The second query loses 2 of 10 pixels, and then 3.
  masks = np.full([2, 12], 0.1)
  masks[1, :10] = 0.9
  masks[0, 8:] = 0.99
  sure = [[0.9, 0.05, 0.05], [0.05, 0.85, 0.1]]
  assert _line(sure, masks, [True, True]) == ([2] * 8 + [1] * 4, [0, 1])
  masks[0, 7] = 0.99
  assert _line(sure, masks, [True, True]) == ([0] * 7 + [1] * 5, [0])


def test_half_a_probability_belongs_to_the_mask():
  # 10 pixels at exactly 1/2, of which the other query takes 3.
  masks = np.full([2, 10], 0.1)
  masks[1] = 0.5
  masks[0, 7:] = 0.99
  sure = [[0.9, 0.05, 0.05], [0.05, 0.85, 0.1]]
  assert _line(sure, masks, [True, True])[1] == [0]
  masks[1, 7:] = 0.499
  assert _line(sure, masks, [True, True]) == ([2] * 7 + [1] * 3, [0, 1])


def test_stuff_of_a_class_is_one_segment_and_things_are_not():
  masks = np.full([4, 8], 0.01)
  for query in range(4):
    masks[query, 2 * query : 2 * query + 2] = 0.9
  sure = [[0.05, 0.9, 0.05], [0.9, 0.05, 0.05], [0.05, 0.95, 0.0001], [0.9, 0.05, 0.05]]
  assert _line(sure, masks, [True, False]) == ([1, 1, 2, 2, 1, 1, 3, 3], [1, 0, 0])
  assert _line(sure, masks, [False, True]) == ([1, 1, 2, 2, 3, 3, 2, 2], [1, 0, 1])


def test_stuff_that_is_dropped_founds_nothing():
  masks = np.full([3, 6], 0.01)
  masks[0] = 0.6  # Wins 2 of its 6 pixels.
  masks[1, :2], masks[2, 2:4] = 0.99, 0.99
  sure = [[0.01, 0.9, 0.09], [0.9, 0.05, 0.05], [0.05, 0.95, 0.0001]]
  assert _line(sure, masks, [True, False]) == ([1, 1, 2, 2, 0, 0], [0, 1])


def test_the_threshold_must_be_exceeded_and_no_object_never_counts():
  masks = np.full([3, 6], 0.01)
  for query in range(3):
    masks[query, 2 * query : 2 * query + 2] = 0.9
  probabilities = [[0.5, 0.25, 0.25], [0.625, 0.25, 0.125], [0.05, 0.05, 0.9]]
  got = _line(probabilities, masks, [True, True], object_threshold=0.5)
  # The last two pixels go to whom they resemble most, and are no more than its mask.
  assert got[1] == [0]
  assert got[0][2:4] == [1, 1]
  assert _line(probabilities, masks, [True, True], object_threshold=0.625)[1] == []
  assert _line(probabilities, masks, [True, True], object_threshold=0.499)[1] == [0, 0]


def test_of_equal_queries_the_first_wins():
  masks = np.full([3, 4], 0.9)
  assert _line([[0.9, 0.1]] * 3, masks, [True]) == ([1] * 4, [0])


def test_a_mask_without_pixels_of_its_own_is_dropped():
  masks = np.float64([[0.4, 0.4, 0.1], [0.1, 0.1, 0.9]])
  sure = [[0.95, 0.05], [0.9, 0.1]]
  assert _line(sure, masks, [True]) == ([0, 0, 1], [0])


def test_random_cases_as_told_query_by_query():
  """The rule in a loop, as the paper tells it, on 300 small cases."""
  rng = np.random.default_rng(0)
  frame, things = Frame((5, 7), (5, 7), (5, 7)), np.array([True, True, False, False])
  run = tf.function(lambda *logits: panoptic(*logits, frame, things, 0.3, 0.5))
  several = 0
  for _ in range(300):
    class_logits = rng.normal(0, 1, [9, 5]) + 3 * np.eye(5)[rng.integers(0, 5, 9)]
    mask_logits = rng.normal(0, 3, [9, 1, 1]) + rng.normal(0, 3, [9, 5, 7])
    got = run(class_logits, mask_logits)
    ids, classes = _told(class_logits, mask_logits, things, 0.3, 0.5)
    np.testing.assert_array_equal(got.ids, ids)
    assert got.classes[: int(got.count)].numpy().tolist() == classes
    several += len(classes) > 1
  assert several > 100


def _told(class_logits, mask_logits, things, object_threshold, overlap_threshold):
  probabilities = np.exp(class_logits) / np.exp(class_logits).sum(-1, keepdims=True)
  scores, labels = probabilities.max(-1), probabilities.argmax(-1)
  queries = [q for q in range(len(labels)) if labels[q] < 4 and scores[q] > object_threshold]
  ids, classes, of_stuff = np.zeros(mask_logits.shape[1:], int), [], {}
  masks = 1 / (1 + np.exp(-mask_logits))
  winner = np.argmax([scores[q] * masks[q] for q in queries], axis=0) if queries else ids
  for place, query in enumerate(queries):
    won, own = winner == place, masks[query] >= 0.5
    if not won.any() or not own.any() or won.sum() / own.sum() < overlap_threshold:
      continue
    label = int(labels[query])
    if things[label] or label not in of_stuff:
      classes.append(label)
      of_stuff[label] = len(classes)
    ids[won] = len(classes) if things[label] else of_stuff[label]
  return ids, classes
