"""Darknet's loss hands back what Darknet itself does, as `darknet_recipe.py` recorded it."""

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.losses.darknet_loss import RULES, DarknetRule, darknet_loss
from projects.yolo.losses.yolo_loss import LossWeights
from projects.yolo.modeling.decoding import Coordinates
from tests.projects.yolo.losses import darknet_recipe as recipe
from tests.projects.yolo.losses import v7_scenes

LEVELS = tuple(recipe.MASKS)
COORDINATES = Coordinates(
  "exponential",
  dict.fromkeys(LEVELS, recipe.SCALE_XY),
  {level: tuple(recipe.ANCHORS[i] for i in mask) for level, mask in recipe.MASKS.items()},
)


def labels(name):
  boxes, classes, valid = v7_scenes.scene(name)
  # As Darknet reads them.
  boxes = np.asarray(boxes, np.float32).astype(np.float64)
  return {"boxes": tf.constant(boxes), "classes": tf.constant(classes), "valid": valid}


def run(name, rule, exact=False, change=lambda raw: raw):
  """Terms, and the gradient of the total's sum over images, {level: array}."""
  kind, gain, further, largest = recipe.RULES[rule]
  rule = DarknetRule(kind, further, largest, unused=recipe.ANCHORS[:1], exact=exact)
  raw = {k: tf.constant(change(v.astype(np.float64))) for k, v in recipe.outputs(name).items()}
  weights = LossWeights(box=gain, objectness=1.0, classes=1.0)
  with tf.GradientTape() as tape:
    tape.watch(raw)
    terms = darknet_loss(raw, labels(name), COORDINATES, weights, rule)
    total = 2 * terms["total_loss"]
  return terms, {int(k): g.numpy() for k, g in tape.gradient(total, raw).items()}


@pytest.mark.parametrize("rule", recipe.RULES)
@pytest.mark.parametrize("name", recipe.SCENES)
def test_the_gradient_is_darknets(deltas, name, rule):
  _, gradients = run(name, rule)
  for level in LEVELS:
    np.testing.assert_allclose(
      -gradients[level], deltas[f"{name}/{rule}/{level}"], rtol=2e-5, atol=2e-6
    )


def test_the_scenes_know_every_rule(deltas):
  """Boxes are cut, places are left out of objectness, and have several classes."""
  objects = deltas["mixed/v4/4"]
  assert np.isclose(np.abs(objects[..., :4]), 0.5).any()
  assert (objects[..., 4] == 0).any()
  assert ((objects[..., 5:] > 0).sum(-1) > 1).any()
  assert not np.array_equal(objects[..., 5:], deltas["mixed/v4_tiny/4"][..., 5:])


@pytest.mark.parametrize("rule", ["v3", "v4_tiny"])
def test_the_exact_gradient_is_the_derivative(rule):
  """Of boxes: by differences; all else has it in either form."""
  terms, gradients = run("mixed", rule, exact=True)
  darknets, others = run("mixed", rule)
  for key, value in terms.items():
    np.testing.assert_allclose(value, darknets[key], rtol=1e-12)
  for level in LEVELS:
    np.testing.assert_allclose(gradients[level][..., 4:], others[level][..., 4:], rtol=1e-12)
    assert not np.allclose(gradients[level][..., :4], others[level][..., :4], rtol=0.1)
  if rule == "v3":  # CIoU's weight of the shape takes no gradient: differences would see one.
    rng, step = np.random.default_rng(0), 1e-6
    way = {level: rng.normal(size=gradients[level].shape) for level in LEVELS}
    for level in LEVELS:
      way[level][..., 4:] = 0
    by_shape = {way[level].shape: way[level] for level in LEVELS}
    ends = [
      run("mixed", rule, change=lambda x, s=s: x + s * step * by_shape[x.shape])[0]["box_loss"]
      for s in (-1, 1)
    ]
    slope = sum((gradients[level] * way[level]).sum() for level in LEVELS)
    np.testing.assert_allclose(2 * (ends[1] - ends[0]) / (2 * step), slope, rtol=1e-6)


def test_one_image_counts_as_in_a_batch():
  name, rule = "mixed", RULES["darknet_v4"]
  weights = LossWeights(box=0.07, objectness=1.0, classes=1.0)
  raw, truth = recipe.outputs(name), labels(name)
  truth = {key: tf.convert_to_tensor(value) for key, value in truth.items()}
  both = darknet_loss(
    {k: tf.constant(v, tf.float64) for k, v in raw.items()}, truth, COORDINATES, weights, rule
  )
  single = [
    darknet_loss(
      {k: tf.constant(v[i : i + 1], tf.float64) for k, v in raw.items()},
      {key: value[i : i + 1] for key, value in truth.items()},
      COORDINATES,
      weights,
      rule,
    )
    for i in range(2)
  ]
  for key, value in both.items():
    np.testing.assert_allclose(value, (single[0][key] + single[1][key]) / 2, rtol=1e-12)


@pytest.mark.parametrize("rule", recipe.RULES)
def test_xla_compiles_the_same(rule):
  kind, gain, further, largest = recipe.RULES[rule]
  weights = LossWeights(box=gain, objectness=1.0, classes=1.0)
  rule = DarknetRule(kind, further, largest)

  def gradient(raw):
    with tf.GradientTape() as tape:
      tape.watch(raw)
      total = darknet_loss(raw, labels("mixed"), COORDINATES, weights, rule)["total_loss"]
    return tape.gradient(total, raw)

  raw = {k: tf.constant(v, tf.float64) for k, v in recipe.outputs("mixed").items()}
  wanted, found = gradient(raw), tf.function(gradient, jit_compile=True)(raw)
  for key, value in wanted.items():
    np.testing.assert_allclose(found[key], value, rtol=1e-9, atol=1e-12)
