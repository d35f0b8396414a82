"""The loss against the same rules written as plain loops in NumPy float64."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.losses.assignment import assign
from projects.yolo.losses.yolo_loss import LossWeights, yolo_loss
from projects.yolo.modeling.decoding import Coordinates
from projects.yolo.ops.boxes import ciou, xywh_to_yxyx

CLASSES = 3
ANCHORS = {3: ((10, 13), (16, 30), (33, 23)), 4: ((30, 61), (62, 45), (59, 119))}
SCALED = Coordinates("scaled", dict.fromkeys(ANCHORS, 2.0), ANCHORS)
EXPONENTIAL = Coordinates("exponential", {level: 1 + level / 20 for level in ANCHORS}, ANCHORS)
SIZE = 64


def _scene(seed=0, batch=2, objects=5, padding=3, dtype=np.float64):
  rng = np.random.default_rng(seed)
  corner = rng.uniform(0, 0.7, [batch, objects, 2])
  boxes = np.concatenate([corner, corner + rng.uniform(0.08, 0.3, [batch, objects, 2])], -1)
  pad = [[0, 0], [0, padding], [0, 0]]
  labels = {
    "boxes": np.pad(boxes, pad).astype(np.float32),
    "classes": np.pad(rng.integers(0, CLASSES, [batch, objects]), pad[:2], constant_values=-1),
    "valid": np.pad(np.ones([batch, objects], bool), pad[:2]),
  }
  labels["classes"] = labels["classes"].astype(np.int32)
  raw = {
    str(level): rng.normal(0, 1, [batch, SIZE >> level, SIZE >> level, 3, 5 + CLASSES]).astype(
      dtype
    )
    for level in ANCHORS
  }
  return raw, labels


def _responsible(box, anchors, grid, neighbours):
  """Places (row, column, anchor) that answer for an xywh box in cells: ScaledYOLOv4's rule."""
  column, row = int(box[0]), int(box[1])
  cells = [(row, column)]
  if neighbours:
    cells.append((row, column + (-1 if box[0] - column < 0.5 else 1)))
    cells.append((row + (-1 if box[1] - row < 0.5 else 1), column))
  for index, anchor in enumerate(anchors):
    ratio = box[2:] / anchor
    if max(ratio.max(), (1 / ratio).max()) < 4:
      for r, c in cells:
        if 0 <= r < grid and 0 <= c < grid:
          yield r, c, index


def _sigmoid(x):
  return 1 / (1 + np.exp(-x))


def _cross_entropy(target, logit):
  return -target * np.log(_sigmoid(logit)) - (1 - target) * np.log(1 - _sigmoid(logit))


def _decode(t, column, row, anchor, coordinates, s):
  xy = _sigmoid(t[:2]) * s - (s - 1) / 2 + [column, row]
  wh = (2 * _sigmoid(t[2:4])) ** 2 if coordinates.form == "scaled" else np.exp(t[2:4])
  return np.concatenate([xy, wh * anchor])


def _level_terms(raw, labels, coordinates, level):
  grid, anchors = SIZE >> level, np.array(ANCHORS[level]) / 2**level
  targets = np.zeros(raw.shape[:4])
  overlaps, entropies = [], []
  reach = coordinates.scale_xy[level]
  for image, item in itertools.product(*map(range, labels["valid"].shape)):
    if not labels["valid"][image, item]:
      continue
    y0, x0, y1, x1 = labels["boxes"][image, item].astype(np.float64) * grid
    box = np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
    for r, c, a in _responsible(box, anchors, grid, reach >= 2):
      t = raw[image, r, c, a]
      predicted = _decode(t[:4], c, r, anchors[a], coordinates, reach)
      overlap = float(ciou(*(xywh_to_yxyx(tf.constant(b)) for b in (predicted, box))))
      overlaps.append(1 - overlap)
      one_hot = np.eye(CLASSES)[labels["classes"][image, item]]
      entropies.append(_cross_entropy(one_hot, t[5:]).mean())
      targets[image, r, c, a] = max(targets[image, r, c, a], overlap)
  return np.mean(overlaps), _cross_entropy(targets, raw[..., 4]).mean(), np.mean(entropies)


@pytest.mark.parametrize("coordinates", [SCALED, EXPONENTIAL], ids=["scaled", "exponential"])
@pytest.mark.parametrize("seed", range(3))
def test_every_term_equals_the_loops(coordinates, seed):
  raw, labels = _scene(seed)
  box, objectness, classes = np.array(
    [_level_terms(raw[str(level)], labels, coordinates, level) for level in ANCHORS]
  ).T
  want = {
    "box_loss": 0.05 * box.sum(),
    "objectness_loss": objectness @ [4.0, 1.0],
    "class_loss": 0.5 * classes.sum(),
  }
  got = yolo_loss(raw, labels, coordinates, LossWeights())
  for key, value in want.items():
    assert float(got[key]) == pytest.approx(value, rel=1e-9), key
  assert float(got["total_loss"]) == pytest.approx(sum(want.values()), rel=1e-9)


def test_gradient_is_the_slope():
  raw, labels = _scene(1, batch=1, objects=2)
  value = tf.function(
    lambda x: yolo_loss(raw | {"4": x}, labels, SCALED, LossWeights())["total_loss"]
  )
  x = tf.constant(raw["4"])
  with tf.GradientTape() as tape:
    tape.watch(x)
    loss = value(x)
  gradient = tape.gradient(loss, x).numpy()
  # Boxes have a test of their own (CIoU's weight takes no gradient); here objectness and classes.
  for place in np.ndindex(gradient.shape):
    if place[-1] >= 4:
      step = np.zeros_like(gradient)
      step[place] = 1e-6
      slope = float(value(x + step) - value(x - step)) / 2e-6
      assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-9)
  assert np.count_nonzero(gradient[..., :4].any(-1)) == np.count_nonzero(gradient[..., 5:].any(-1))


def test_padding_changes_nothing():
  raw, labels = _scene(2, padding=0)
  bare = yolo_loss(raw, labels, SCALED, LossWeights())
  rng = np.random.default_rng(3)
  junk = {
    "boxes": np.concatenate([labels["boxes"], rng.uniform(0, 1, [2, 4, 4])], 1),
    "classes": np.pad(labels["classes"], [[0, 0], [0, 4]], constant_values=-1),
    "valid": np.pad(labels["valid"], [[0, 0], [0, 4]]),
  }
  padded = yolo_loss(raw, junk, SCALED, LossWeights())
  for key, value in bare.items():
    assert float(padded[key]) == pytest.approx(float(value), rel=1e-12)


@pytest.mark.parametrize("coordinates", [SCALED, EXPONENTIAL], ids=["scaled", "exponential"])
def test_nothing_to_find_has_finite_gradients_that_lower_objectness(coordinates):
  raw, labels = _scene(0)
  labels["valid"][:] = False
  raw = {key: tf.constant(value * 30, tf.float32) for key, value in raw.items()}
  with tf.GradientTape() as tape:
    tape.watch(raw)
    losses = yolo_loss(raw, labels, coordinates, LossWeights())
  gradients = tape.gradient(losses["total_loss"], raw)
  assert float(losses["box_loss"]) == float(losses["class_loss"]) == 0
  for gradient in gradients.values():
    assert np.isfinite(gradient).all()
    assert (gradient.numpy()[..., 4] >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_graph_and_xla_equal_eager(dtype):
  raw, labels = _scene(4, dtype=dtype)
  function = lambda: yolo_loss(raw, labels, SCALED, LossWeights())["total_loss"]
  eager = float(function())
  for jit in (False, True):
    assert float(tf.function(function, jit_compile=jit)()) == pytest.approx(eager, rel=1e-5)


def test_inputs_are_left_alone():
  raw, labels = _scene(5)
  before = {key: value.copy() for key, value in (raw | labels).items()}
  first = yolo_loss(raw, labels, SCALED, LossWeights())["total_loss"]
  assert first == yolo_loss(raw, labels, SCALED, LossWeights())["total_loss"]
  for key, value in before.items():
    np.testing.assert_array_equal((raw | labels)[key], value)


def test_centre_on_the_far_edge_stays_inside():
  box = tf.constant([[[4.0, 4.0, 2.0, 2.0]]])  # The far corner of a 4×4 grid.
  places = assign(
    box,
    tf.zeros([1, 1], tf.int32),
    tf.ones([1, 1], tf.bool),
    tf.constant([[2.0, 2.0]]),
    4,
    4,
    ratio_threshold=4.0,
    neighbours=True,
  )
  np.testing.assert_array_equal(places.mask, [[True, False, False]])
  assert places.index.numpy()[0, 0] == 15


def test_objectness_does_not_pull_boxes():
  raw, labels = _scene(6)
  raw = {level: tf.constant(value) for level, value in raw.items()}
  with tf.GradientTape() as tape:
    tape.watch(raw)
    loss = yolo_loss(raw, labels, SCALED, LossWeights())["objectness_loss"]
  for gradient in tape.gradient(loss, raw).values():
    assert not gradient.numpy()[..., :4].any()
    assert gradient.numpy()[..., 4].all()


@pytest.mark.parametrize("balance", [(4, 1), (4, 1, 0.4), (4, 1, 0.4, 0.1), (4, 1, 0.5, 0.4, 0.1)])
def test_each_levels_objectness_weighs_as_in_the_original(balance):
  levels = range(3, 3 + len(balance))
  coordinates = Coordinates(
    "scaled", dict.fromkeys(levels, 2.0), dict.fromkeys(levels, ((8.0, 8.0),))
  )
  labels = {
    "boxes": tf.zeros([1, 1, 4]),
    "classes": tf.zeros([1, 1], tf.int32),
    "valid": tf.zeros([1, 1], bool),
  }
  for chosen, share in zip(levels, balance, strict=True):
    raw = {str(n): tf.fill([1, 1, 1, 1, 6], 0.0 if n == chosen else -50.0) for n in levels}
    losses = yolo_loss(raw, labels, coordinates, LossWeights())
    np.testing.assert_allclose(losses["total_loss"], share * np.log(2), rtol=1e-6)
