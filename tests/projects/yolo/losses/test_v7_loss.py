"""YOLOv7's losses against recordings of its own code, see `v7_recipe.py`."""

import dataclasses
import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.losses.assignment import assign_v7, boxes_in_cells
from projects.yolo.losses.ota import Rule, assign_ota, match
from projects.yolo.losses.v7_loss import (
  LEVEL_BALANCE,
  scale_gains,
  v7_aux_ota_loss,
  v7_loss,
  v7_ota_loss,
)
from projects.yolo.losses.yolo_loss import LossWeights
from projects.yolo.modeling.decoding import Coordinates
from tests.projects.yolo.losses import v7_scenes as scenes

LEVELS = tuple(scenes.ANCHORS)
COORDINATES = Coordinates("scaled", dict.fromkeys(LEVELS, 2.0), scenes.ANCHORS)
HYPER = scenes.HYPER
WEIGHTS = LossWeights(HYPER["box"], HYPER["obj"], HYPER["cls"], HYPER["anchor_t"])
SMOOTHED = dataclasses.replace(WEIGHTS, label_smoothing=0.1)
TERMS = ("box_loss", "objectness_loss", "class_loss", "total_loss")
KINDS = ("plain", "ota", "aux")
RULES = {
  "ota/{}/matches": Rule(0.5, 10, 4.0),
  "aux/{}/matches": Rule(0.5, 20, 4.0),
  "aux/{}/wide": Rule(1.0, 20, 4.0),
}

every_scene = pytest.mark.parametrize("name", scenes.SCENES)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def recorded():
  with np.load(pathlib.Path(__file__).with_name("v7.npz")) as file:
    return dict(file)


def _labels(name, dtype=np.float64):
  boxes, classes, valid = scenes.scene(name)
  return {"boxes": boxes.astype(dtype), "classes": classes, "valid": valid}


def _raw(name, dtype=np.float64):
  return [
    {level: tf.constant(array.astype(dtype)) for level, array in scenes.outputs(name, seed).items()}
    for seed in range(2)
  ]


def _loss(kind, raw, labels, weights=WEIGHTS):
  if kind == "aux":
    return v7_aux_ota_loss(*raw, labels, COORDINATES, weights)
  return {"plain": v7_loss, "ota": v7_ota_loss}[kind](raw[0], labels, COORDINATES, weights)


@functools.cache
def _compiled(kind, weights, jit):
  """Terms [4] and gradients of the total; one graph for all scenes."""

  @tf.function(jit_compile=jit)
  def run(raw, labels):
    with tf.GradientTape() as tape:
      tape.watch(raw)
      losses = _loss(kind, raw, labels, weights)
    return tf.stack([losses[term] for term in TERMS]), tape.gradient(losses["total_loss"], raw)

  return run


def _run(kind, raw, labels, weights=WEIGHTS, jit=False):
  terms, gradients = _compiled(kind, weights, jit)(
    raw, {k: tf.constant(v) for k, v in labels.items()}
  )
  return terms.numpy(), [
    {level: None if g is None else g.numpy() for level, g in head.items()} for head in gradients
  ]


@every_kind
@every_scene
def test_terms_and_gradients_are_the_originals(recorded, name, kind):
  terms, gradients = _run(kind, _raw(name), _labels(name))
  np.testing.assert_allclose(terms, recorded[f"{name}/{kind}/terms"], rtol=1e-9, atol=1e-12)
  digest = scenes.digest(gradients[0])
  np.testing.assert_allclose(digest, recorded[f"{name}/{kind}/gradient"], rtol=1e-9, atol=1e-11)
  if kind == "aux":
    want = recorded[f"{name}/aux/aux_gradient"]
    np.testing.assert_allclose(scenes.digest(gradients[1]), want, rtol=1e-9, atol=1e-11)


@every_kind
def test_smoothed_labels_are_the_originals(recorded, kind):
  for name in ("mixed", "crowded"):
    losses = _loss(kind, _raw(name), _labels(name), SMOOTHED)
    terms = [losses[term] for term in TERMS]
    np.testing.assert_allclose(terms, recorded[f"{name}/{kind}/smoothed"], rtol=1e-9)


@every_kind
@every_scene
def test_the_originals_epsilon_matters_little(recorded, name, kind):
  key = f"{name}/{kind}"
  np.testing.assert_allclose(recorded[f"{key}/published"], recorded[f"{key}/terms"], rtol=1e-5)


def _rows(places, level):
  """Chosen places as the recordings have them: image, row, column, anchor, class, x, y, w, h."""
  grid = scenes.SIZE >> level
  mask = places.mask.numpy()
  image = np.nonzero(mask)[0]
  place, anchor = np.divmod(places.index.numpy()[mask], 3)
  row, column = np.divmod(place, grid)
  np.testing.assert_array_equal(places.cells.numpy()[mask], np.stack([column, row], 1))
  shapes = np.array(scenes.ANCHORS[level])[anchor] / 2**level
  np.testing.assert_array_equal(places.anchors.numpy()[mask], shapes)
  rows = np.stack([image, row, column, anchor, places.classes.numpy()[mask]], 1)
  return np.concatenate([rows, places.boxes.numpy()[mask] / grid], 1)


def _check_rows(got, want):
  np.testing.assert_array_equal(got[:, :5], want[:, :5])
  np.testing.assert_allclose(got[:, 5:], want[:, 5:], rtol=0, atol=1e-14)


@every_scene
def test_fixed_places_are_the_originals(recorded, name):
  labels = _labels(name)
  for level in LEVELS:
    grid = scenes.SIZE >> level
    places = assign_v7(
      boxes_in_cells(labels["boxes"], grid, grid, tf.float64),
      tf.constant(labels["classes"]),
      tf.constant(labels["valid"]),
      tf.constant(scenes.ANCHORS[level], tf.float64) / 2**level,
      grid,
      grid,
      ratio_threshold=4.0,
      reach=0.5,
    )
    want = recorded[f"{name}/plain/{level}/matches"]
    want = want[np.argsort(want[:, 0], kind="stable")]  # The original does not go by image.
    _check_rows(_rows(places, level), want)


@every_scene
@pytest.mark.parametrize("key", RULES)
def test_every_choice_is_the_originals(recorded, name, key):
  found = assign_ota(_raw(name)[0], _labels(name), COORDINATES, RULES[key])
  assert list(found) == list(LEVELS)
  for level, places in found.items():
    _check_rows(_rows(places, level), recorded[f"{name}/{key.format(level)}"])


def test_the_recordings_have_conflicts_and_counts_above_one(recorded):
  """Else the tests above say little."""
  for key in RULES:
    for name, least in (("sparse", 4), ("mixed", 12), ("crowded", 12), ("edges", 12)):
      rows = [recorded[f"{name}/{key.format(level)}"] for level in LEVELS]
      first = np.concatenate(rows)
      assert (first[:, 0] == 0).sum() > least
  places = recorded["crowded/aux/4/wide"][:, :4]
  assert len(np.unique(places, axis=0)) < len(places)  # One place for two objects.


@every_kind
def test_padding_makes_no_difference(kind):
  raw, labels = _raw("mixed"), _labels("mixed")
  valid = labels["valid"]
  assert not valid[1].all()
  want, slope = _run(kind, raw, labels)
  junk = np.random.default_rng(0).uniform(0, 1, [2, 5, 4])
  junk[:, 0] = labels["boxes"][:, 0]  # As an object, but not valid.
  padded = {
    "boxes": np.concatenate([np.where(valid[..., None], labels["boxes"], 0.5), junk], 1),
    "classes": np.pad(np.where(valid, labels["classes"], -1), [[0, 0], [0, 5]], constant_values=-1),
    "valid": np.pad(valid, [[0, 0], [0, 5]]),
  }
  got, padded_slope = _run(kind, raw, padded)
  np.testing.assert_allclose(got, want, rtol=1e-12)
  for head, other in zip(slope, padded_slope, strict=True):
    for level, gradient in head.items():
      if gradient is not None:
        np.testing.assert_allclose(other[level], gradient, rtol=1e-9, atol=1e-15)


@every_kind
def test_xla_equals_the_graph(kind):
  raw, labels = _raw("crowded", np.float32), _labels("crowded", np.float32)
  want, slope = _run(kind, raw, labels)
  got, compiled = _run(kind, raw, labels, jit=True)
  assert got.dtype == np.float32
  np.testing.assert_allclose(got, want, rtol=1e-5)
  for level in map(str, LEVELS):
    np.testing.assert_allclose(compiled[0][level], slope[0][level], rtol=1e-3, atol=1e-7)


def test_xla_makes_the_originals_choices(recorded):
  key, rule = "aux/{}/wide", RULES["aux/{}/wide"]
  choose = tf.function(
    lambda raw, labels: assign_ota(raw, labels, COORDINATES, rule), jit_compile=True
  )
  for name in ("crowded", "edges"):
    labels = {key: tf.constant(value) for key, value in _labels(name).items()}
    for level, places in choose(_raw(name)[0], labels).items():
      _check_rows(_rows(places, int(level)), recorded[f"{name}/{key.format(level)}"])


def test_eager_equals_the_graph():
  raw, labels = _raw("mixed"), _labels("mixed")
  for kind in ("plain", "aux"):
    losses = _loss(kind, raw, labels)
    want, _ = _run(kind, raw, labels)
    np.testing.assert_allclose([losses[term] for term in TERMS], want, rtol=1e-12)


@every_kind
@pytest.mark.parametrize("sure", [1, 40, 1e4])
def test_gradients_are_finite_however_sure_the_network(kind, sure):
  raw, labels = _raw("crowded", np.float32), _labels("crowded", np.float32)
  raw = [{level: array * sure for level, array in head.items()} for head in raw]
  terms, gradients = _run(kind, raw, labels)
  assert np.isfinite(terms).all()
  assert terms[0] > 0
  assert terms[2] > 0
  for head in gradients[: 2 if kind == "aux" else 1]:
    for gradient in head.values():
      assert np.isfinite(gradient).all()


def test_auxiliary_heads_take_no_part_in_the_choice():
  raw, labels = _raw("mixed"), _labels("mixed")
  one, _ = _run("aux", raw, labels)
  other, _ = _run("aux", [raw[0], raw[0]], labels)
  alone, _ = _run("aux", [raw[0], {level: array * 0 for level, array in raw[1].items()}], labels)
  assert len({float(terms[0]) for terms in (one, other, alone)}) == 3
  _, gradients = _run("aux", raw, labels)
  _, still = _run("aux", [raw[0], raw[0]], labels)
  for level in map(str, LEVELS):
    np.testing.assert_array_equal(gradients[0][level], still[0][level])


def test_a_candidate_goes_to_the_object_it_costs_least():
  far = np.finfo(np.float32).max
  cost = tf.constant([[[1, 2, 3, 4], [2, 1, 2, 4], [0, 3, 3, far], [far] * 4]], tf.float32)
  chosen, item = match(cost, tf.constant([[2, 3, 1, 1]]), 3)
  np.testing.assert_array_equal(chosen, [[True, True, True, False]])
  np.testing.assert_array_equal(item[:, :3], [[2, 1, 1]])


def test_a_candidate_goes_even_to_an_object_that_did_not_take_it():
  cost = tf.constant([[[1.0, 9, 9], [2.0, 9, 9], [0.9, 0.5, 0.1]]])
  chosen, item = match(cost, tf.constant([[1, 1, 1]]), 2)
  np.testing.assert_array_equal(chosen, [[True, False, True]])
  np.testing.assert_array_equal(item.numpy()[0, [0, 2]], [2, 2])


def test_the_first_of_equal_candidates_is_taken():
  chosen, _ = match(tf.constant([[[1.0, 2, 2, 2, 1]]]), tf.constant([[3]]), 5)
  np.testing.assert_array_equal(chosen, [[True, True, False, False, True]])


def test_gains_scale_as_in_the_originals_training():
  scaled = scale_gains(LossWeights(0.05, 0.7, 0.3), levels=4, classes=20, input_size=1280)
  want = LossWeights(0.0375, 2.1, 0.05625)
  np.testing.assert_allclose(dataclasses.astuple(scaled), dataclasses.astuple(want))


def test_a_share_of_the_overlap_moves_the_objectness_target():
  raw, labels = _raw("sparse"), _labels("sparse")
  losses = [
    float(
      _loss("ota", raw, labels, dataclasses.replace(WEIGHTS, overlap_share=s))["objectness_loss"]
    )
    for s in (0.0, 0.25, 1.0)
  ]
  assert losses[1] == pytest.approx(0.75 * losses[0] + 0.25 * losses[2], rel=1e-12)
  ones = sum(
    WEIGHTS.objectness * share * _all_or_nothing(raw[0], labels, level)
    for share, level in zip(LEVEL_BALANCE[3], LEVELS, strict=True)
  )
  assert losses[0] == pytest.approx(ones, rel=1e-12)


def _all_or_nothing(raw, labels, level):
  """Mean cross-entropy of objectness with target 1 at the chosen places."""
  places = assign_ota(raw, labels, COORDINATES, RULES["ota/{}/matches"])[level]
  logits = raw[str(level)].numpy()[..., 4].reshape(2, -1)
  target = np.zeros_like(logits)
  for image, index in zip(*np.nonzero(places.mask.numpy()), strict=True):
    target[image, places.index.numpy()[image, index]] = 1
  return np.mean(np.logaddexp(0, logits) - target * logits)


@pytest.mark.parametrize("balance", [(4, 1, 0.4), (4, 1, 0.25, 0.06), (4, 1, 0.25, 0.06, 0.02)])
def test_each_levels_objectness_weighs_as_in_the_original(balance):
  levels = range(3, 3 + len(balance))
  coordinates = Coordinates("scaled", dict.fromkeys(levels, 2.0), dict.fromkeys(levels, ((8, 8),)))
  labels = {
    "boxes": tf.zeros([1, 1, 4]),
    "classes": tf.zeros([1, 1], tf.int32),
    "valid": tf.zeros([1, 1], bool),
  }
  for loss in (v7_loss, v7_ota_loss):
    for chosen, share in zip(levels, balance, strict=True):
      raw = {str(n): tf.fill([1, 1, 1, 1, 6], 0.0 if n == chosen else -50.0) for n in levels}
      losses = loss(raw, labels, coordinates, LossWeights())
      np.testing.assert_allclose(losses["total_loss"], share * np.log(2), rtol=1e-6)
