"""Groups of training examples: who is mixed with whom, and that boxes stay on their objects."""

import dataclasses

import cv2
import numpy as np
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from projects.yolo.configs.data import Augmentation
from projects.yolo.dataloaders import sampler
from projects.yolo.dataloaders.sampler import GroupSampler

SIZE, GROUP = 64, 5
STILL = Augmentation(
  group_size=GROUP,
  mosaic=0.0,
  scale=0.0,
  translate=0.0,
  flip=0.0,
  hue=0.0,
  saturation=0.0,
  value=0.0,
)
COLORS = np.uint8([[250, 10, 10], [10, 250, 10], [10, 10, 250], [250, 250, 10], [10, 250, 250]])
COLORS = np.concatenate([COLORS, np.uint8([[250, 10, 250], [250, 250, 250]])])


def config(**changes):
  return dataclasses.replace(STILL, **changes)


def group(shape=(48, 64), seed=3, count=GROUP):
  """Example i is black, with one object of colour i, of class i, and a crowd; or all black."""
  encoded, boxes = [], []
  for index in range(count):
    left = 0.125 * (index % GROUP) / 2
    box = np.array([0.25, left, 0.75, 0.5 + left])
    image = np.zeros((*shape, 3), np.uint8)
    top, left, bottom, right = np.round(box * [*shape, *shape]).astype(int)
    if index < len(COLORS):
      image[top:bottom, left:right] = COLORS[index]
    encoded.append(tf.io.encode_png(image).numpy())
    boxes.append([box, [0, 0, 0, 0]])
  return {
    "encoded": tf.constant(encoded),
    "shape": tf.constant([shape] * count, tf.int32),
    "boxes": tf.constant(boxes, tf.float32),
    "classes": tf.constant([[i if i < len(COLORS) else -1, -1] for i in range(count)], tf.int32),
    "seed": tf.constant([[seed, index] for index in range(count)], tf.int64),
  }


def sample(changes, **options):
  examples = group(count=changes.get("group_size", GROUP), **options)
  images, labels = GroupSampler(config(**changes), SIZE, 12).sample(examples)
  return images.numpy(), {key: value.numpy() for key, value in labels.items()}


def assert_boxes_on_objects(images, labels, tolerance, cut=True):
  """Every box is tight around pixels of its class's colour, wherever the class is seen once.

  Objects at the border are left out where `cut` is False: the box of a turned object is cut, and
  not made anew for what is left of it.
  """
  checked = 0
  for image, boxes, classes in zip(images, labels["boxes"] * SIZE, labels["classes"], strict=True):
    for box, number in zip(boxes, classes, strict=True):
      if number < 0 or (classes == number).sum() > 1:
        continue
      if not cut and (box.min() == 0 or box.max() == SIZE):
        continue
      there = (np.abs(image.astype(int) - COLORS[number]) < 90).all(-1)
      ys, xs = np.nonzero(there)
      tight = [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]
      np.testing.assert_allclose(tight, box, atol=tolerance)
      checked += 1
  assert checked >= 3


def test_without_changes_the_image_is_letterboxed():
  images, labels = sample({})
  assert images.shape == (GROUP, SIZE, SIZE, 3)
  assert images.dtype == np.uint8
  assert (images[:, :8] == 114).all()
  assert (images[:, 56:] == 114).all()
  for index in range(GROUP):
    expected = tf.io.decode_png(group()["encoded"][index]).numpy()
    np.testing.assert_array_equal(images[index, 8:56], expected)
  assert labels["classes"][:, 0].tolist() == list(range(GROUP))
  assert labels["valid"].sum(1).tolist() == [1] * GROUP
  assert (labels["classes"][:, 1:] == -1).all()
  assert_boxes_on_objects(images, labels, 0.51)


def test_an_image_shrunk_while_decoding_lies_where_the_whole_one_does():
  """515 rows shrunk by 8 are 65, of which the last is not full."""
  height, width = 515, 389
  ramp = np.add.outer(np.linspace(0, 140, height), np.linspace(0, 110, width))
  image = np.repeat(ramp[..., None], 3, 2).round().astype(np.uint8)
  examples = group((height, width))
  examples["encoded"] = tf.constant([tf.io.encode_jpeg(image, quality=100).numpy()] * GROUP)
  images, _ = GroupSampler(STILL, SIZE, 12).sample(examples)
  expected = cv2.resize(image, (48, 64), interpolation=cv2.INTER_AREA)
  difference = np.float64(images[0, :, 8:56]) - expected
  assert np.abs(difference[2:-2, 2:-2]).max() < 2


CHANGES = {
  "scale": {"scale": 0.5},
  "translate": {"translate": 0.2},
  "mirror": {"flip": 1.0},
  "jitter": {"jitter": 0.3},
  "mosaic": {"mosaic": 1.0, "scale": 0.5, "translate": 0.1, "flip": 0.5},
  "half mosaic": {"mosaic": 0.5, "flip": 0.5},
  "nine": {"mosaic": 1.0, "mosaic_nine": 1.0, "group_size": 9, "flip": 0.5},
  "four or nine": {"mosaic": 0.8, "mosaic_nine": 0.5, "group_size": 9, "scale": 0.4},
  "all": {"mosaic": 0.7, "scale": 0.3, "translate": 0.1, "flip": 0.5, "jitter": 0.2},
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("shape", [(48, 64), (90, 50)])
def test_boxes_stay_on_objects(name, shape):
  plain, _ = sample({}, shape=shape)
  images, labels = sample(CHANGES[name], shape=shape)
  assert not np.array_equal(images, plain)
  assert_boxes_on_objects(images, labels, 1.5)


@pytest.mark.parametrize(
  "changes",
  [
    {"degrees": 20.0},
    {"shear": 15.0, "mosaic": 1.0, "flip": 0.5, "scale": 0.5},
    {"shear": 10.0, "mosaic": 1.0, "mosaic_nine": 0.5, "group_size": 9, "scale": 0.5},
  ],
)
def test_boxes_stay_around_objects_that_turn(changes):
  samples = [sample(changes, seed=seed) for seed in range(6)]
  images = np.concatenate([images for images, _ in samples])
  labels = {
    key: np.concatenate([labels[key] for _, labels in samples]) for key in ("boxes", "classes")
  }
  assert_boxes_on_objects(images, labels, 2.5, cut=False)  # The tips of corners are thin.


def test_a_mosaic_shows_every_example_four_times():
  """At half the zoom all four tiles are wholly in view."""
  seen = []
  for seed in range(3):
    _, labels = sample({"mosaic": 1.0, "scale": 0.5}, seed=seed)
    sources = GroupSampler(config(mosaic=1.0), SIZE, 12)._sources(draws(seed), 4).numpy()
    assert np.bincount(sources.ravel(), minlength=GROUP).tolist() == [4] * GROUP
    assert all(len(set(row)) == 4 for row in sources)
    assert sources[:, 0].tolist() == list(range(GROUP))
    for classes, row in zip(labels["classes"], sources, strict=True):
      assert set(classes) - {-1} <= set(row.tolist())
    seen.append(tuple(sources[0]))
  assert len(set(seen)) > 1


def test_mosaics_of_nine_are_their_share():
  """And the only ones that show a fifth example."""
  nine = 0
  changes = {"mosaic": 0.8, "mosaic_nine": 0.5, "group_size": 9, "scale": 0.0}
  for seed in range(6):
    _, labels = sample(changes, seed=seed)
    own = GroupSampler(config(**changes), SIZE, 12)
    seeds = tf.constant([seed, 0], tf.int64)
    chosen = own._are_nine(sampler._draw(9, seeds), seeds).numpy()
    nine += chosen.sum()
    sources = own._sources(sampler._draw(9, seeds), 4).numpy()
    for classes, four, is_nine in zip(labels["classes"], sources, chosen, strict=True):
      assert is_nine or set(classes) - {-1} <= set(four.tolist())
  assert abs(nine / 54 - 0.4) < 0.15


def draws(seed):
  return sampler._draw(GROUP, tf.constant([seed, 0], tf.int64))


def test_mixup_blends_images_and_joins_boxes():
  plain, _ = sample({})
  images, labels = sample({"mixup": 1.0})
  assert labels["valid"].sum(1).tolist() == [2] * GROUP
  for index in range(GROUP):
    partner = (index + 1) % GROUP
    assert labels["classes"][index, :2].tolist() == [index, partner]
    one, other = plain[index].astype(float), plain[partner].astype(float)
    differ = np.abs(one - other) > 200
    shares = (images[index] - other)[differ] / (one - other)[differ]
    assert shares.max() - shares.min() < 0.01
    assert 0.1 < shares.mean() < 0.9


def test_the_share_of_a_mixup_is_beta_8_8():
  stats = pytest.importorskip("scipy.stats")
  share = sampler._beta_8_8(tf.random.stateless_uniform([4000, 15], (1, 2))).numpy()
  assert stats.kstest(share, stats.beta(8, 8).cdf).pvalue > 0.01


def test_probabilities_are_met():
  flips = mosaics = 0
  mirrored, _ = sample({"flip": 1.0})
  for seed in range(40):
    images, _ = sample({"flip": 0.25}, seed=seed)
    # The last example is symmetrical.
    flips += sum(np.array_equal(*pair) for pair in zip(images[:4], mirrored[:4], strict=True))
    mosaics += int((draws(seed).mosaic.numpy() < 0.25).sum())
  assert abs(flips / (40 * 4) - 0.25) < 0.1
  assert abs(mosaics / (40 * GROUP) - 0.25) < 0.1


def test_colours_change_within_their_range():
  images, labels = sample({"value": 0.4})
  gains = [image.max() / 250 for image in images]
  assert min(gains) >= 0.6
  assert max(gains) <= 255 / 250
  assert len(set(gains)) > 2
  assert_boxes_on_objects(np.where(images > 60, 250, 10), labels, 0.51)


def test_hue_and_saturation_leave_the_value():
  plain, _ = sample({})
  for changes in ({"hue": 0.5}, {"saturation": 0.5}):
    images, _ = sample(changes)
    assert not np.array_equal(images, plain)
    np.testing.assert_array_equal(images.max(-1), plain.max(-1))
    # A hue leaves the least channel too; saturation does not.
    assert np.array_equal(images.min(-1), plain.min(-1)) == ("hue" in changes)


ALL = {"mosaic": 0.8, "mixup": 0.5, "scale": 0.5, "translate": 0.1, "flip": 0.5, "jitter": 0.1,
       "hue": 0.015, "saturation": 0.7, "value": 0.4}  # fmt: skip


@pytest.mark.parametrize("changes", [ALL, {**ALL, "degrees": 10.0, "shear": 5.0}])
def test_the_same_seed_gives_the_same_eagerly_and_in_a_dataset(changes):
  images, labels = sample(changes)
  examples = group()
  singles = {
    "encoded": examples["encoded"], "height": examples["shape"][:, 0],
    "width": examples["shape"][:, 1], "boxes": examples["boxes"],
    "classes": tf.abs(examples["classes"]), "is_crowd": examples["classes"] < 0,
    "seed": examples["seed"],
  }  # fmt: skip
  run = lambda: list(
    GroupSampler(config(**changes), SIZE, 12)(tf.data.Dataset.from_tensor_slices(singles))
    .as_numpy_iterator()
  )  # fmt: skip
  one, two = run(), run()
  assert len(one) == GROUP
  tf.nest.map_structure(np.testing.assert_array_equal, one, two)
  for index, (image, objects) in enumerate(one):
    # Graphs are optimized: other roundings.
    assert np.abs(image.astype(int) - images[index]).max() <= 1
    for key, value in objects.items():
      np.testing.assert_allclose(value, labels[key][index], atol=1e-6)
  other, _ = sample(changes, seed=4)
  assert not np.array_equal(images, other)


@pytest.mark.parametrize(
  "changes",
  [
    {"group_size": 3, "mosaic": 0.5},
    {"group_size": 1, "mixup": 0.5},
    {"scale": 1.0},
    {"jitter": -0.1},
    {"flip": 1.5},
    {"hue": -0.1},
  ],
)
def test_impossible_settings_are_refused(changes):
  with pytest.raises(UserError, match="augmentation"):
    GroupSampler(config(**changes), SIZE, 12)
