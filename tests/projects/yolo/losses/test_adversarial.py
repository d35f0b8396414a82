"""Objects are hidden as Darknet hides them (`darknet_recipe.py` recorded what it hands back)."""

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.losses import adversarial
from projects.yolo.modeling.decoding import Coordinates
from tests.projects.yolo.losses import darknet_recipe as recipe
from tests.projects.yolo.losses.test_darknet_loss import COORDINATES, LEVELS

SCALED = Coordinates("scaled", dict.fromkeys(LEVELS, 2.0), COORDINATES.anchors)


@pytest.mark.parametrize("name", recipe.SCENES)
def test_outputs_go_where_darknets_do(deltas, name):
  for level in LEVELS:
    raw = tf.constant(recipe.outputs(name)[str(level)], tf.float64)
    found = adversarial.deltas_of(raw, level, COORDINATES)
    np.testing.assert_allclose(found, deltas[f"{name}/hide/{level}"], rtol=2e-5, atol=2e-6)


def network(images):
  """Linear, to one output a level."""
  rng = np.random.default_rng(0)
  flat = tf.reshape(images, [tf.shape(images)[0], -1])
  raw = {}
  for level in LEVELS:
    grid = recipe.SIZE >> level
    matrix = rng.normal(0, 0.5, [flat.shape[1], grid * grid * 3 * 9])
    raw[str(level)] = tf.reshape(flat @ tf.constant(matrix), [-1, grid, grid, 3, 9])
  return raw


@pytest.mark.parametrize("coordinates", [COORDINATES, SCALED])
def test_images_move_outputs_along_the_deltas(coordinates):
  """Of a linear network: by how far images move, squared, over the rate."""
  rate = 1e-5
  images = tf.constant(np.random.default_rng(1).uniform(0.3, 0.7, [2, 5, 5, 3]))
  moved = adversarial.hide(images, network, coordinates, tf.constant(rate))
  before, after, along = network(images), network(moved), 0.0
  for level in LEVELS:
    wanted = adversarial.deltas_of(before[str(level)], level, coordinates)
    along += np.sum(wanted * (after[str(level)] - before[str(level)]))
  assert 0 < np.abs(moved - images).max() < 0.3
  np.testing.assert_allclose(along, np.sum((moved - images) ** 2) / rate, rtol=1e-4)


def test_images_stay_images():
  images = tf.constant(np.random.default_rng(1).uniform(0.3, 0.7, [2, 5, 5, 3]))
  far = adversarial.hide(images, network, COORDINATES, tf.constant(1e3)).numpy()
  assert (far.min(), far.max()) == (0.0, 1.0)
  still = adversarial.hide(images, network, COORDINATES, tf.constant(0.0))
  np.testing.assert_array_equal(still, images)
