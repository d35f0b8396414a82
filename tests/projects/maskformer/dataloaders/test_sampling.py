"""Random views: distributions against the original's recipe, and the crop's constraint."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from projects.maskformer.configs.data import Augmentation, DataConfig, Zoom
from projects.maskformer.dataloaders import sampling

SHAPE = (40, 60)
SMALL = Zoom(probability=1.0, min_sizes=[20, 30, 50], low=16, high=36)


def config(**changes):
  augmentation = changes.pop("augmentation", {})
  base = DataConfig(output_size=[64, 64], min_sizes=[32, 40, 48], max_size=64)
  base = dataclasses.replace(base, **changes)
  return dataclasses.replace(base, augmentation=Augmentation(**augmentation))


def views(params, count=400, places=None, classes=(0, 1)):
  """start, size and output of many draws, [count, 6], and whether each is mirrored."""
  places = np.zeros(SHAPE, np.uint8) if places is None else places
  draws = tf.random.stateless_uniform([count, sampling.DRAWS], [3, 4])

  def run(one):
    view, mirrored = sampling.sample(params, tf.constant(places), tf.constant(classes), one)
    return tf.concat(view, 0), mirrored

  made = tf.data.Dataset.from_tensor_slices(draws).map(run).batch(count)
  return next(made.as_numpy_iterator())


def test_sizes_are_chosen_evenly_and_images_mirrored_half_of_the_time():
  found, mirrored = views(config())
  assert (found[:, :2] == 0).all()
  assert (found[:, 2:4] == SHAPE).all()
  shapes, counts = np.unique(found[:, 4:], axis=0, return_counts=True)
  # 48 x 72 is too long: 64 wide, it is 42.67 high.
  assert shapes.tolist() == [[32, 48], [40, 60], [43, 64]]
  assert np.abs(counts / len(found) - 1 / 3).max() < 0.09
  assert abs(mirrored.mean() - 0.5) < 0.1


@pytest.mark.parametrize(("flip", "expected"), [(0.0, 0), (1.0, 1)])
def test_mirrors_may_be_never_or_always(flip, expected):
  assert (views(config(augmentation={"flip": flip}), 20)[1] == expected).all()


def test_too_large_images_are_fitted_and_not_cut():
  found, _ = views(config(output_size=[64, 32]), 50)
  assert (found[:, 2:4] == SHAPE).all()
  assert (found[:, 5] == 32).all()
  assert set(found[:, 4]) <= {21, 22}


def test_crops_as_the_original_draws_them():
  """Windows of at most 24 x 40 from images of three sizes; rounded to source pixels."""
  params = config(min_sizes=[20, 40, 80], max_size=200, augmentation={"crop": [24, 40]})
  found, _ = views(params, 600)
  shown = {tuple(row) for row in found[:, 4:]}
  assert shown == {(20, 30), (24, 40)}  # The smallest image is smaller than the window.
  whole = found[found[:, 4] == 20]
  assert (whole[:, :4] == [0, 0, *SHAPE]).all()
  same = found[(found[:, 2] == 24) & (found[:, 4] == 24)]
  assert (same[:, 2:4] == (24, 40)).all()
  assert set(same[:, 0]) == set(range(17))  # 40 - 24 + 1 positions, all of them taken.
  assert set(same[:, 1]) == set(range(21))
  double = found[found[:, 2] == 12]
  assert (double[:, 3] == 20).all()
  assert 0.25 < len(double) / len(found) < 0.42
  assert (double[:, 0] + double[:, 2]).max() == SHAPE[0]
  assert double[:, 1].min() == 0


def test_the_zoom_draws_what_detr_draws():
  """The joint distribution of windows and sizes, against the recipe run on NumPy's numbers."""
  params = config(min_sizes=[32, 48], max_size=60, augmentation={"zoom": SMALL})
  ours, _ = views(params, 3000)
  theirs = np.array([detr(np.random.default_rng(seed), params) for seed in range(3000)])
  for column in range(6):
    low, high = ours[:, column].min(), ours[:, column].max()
    assert abs(low - theirs[:, column].min()) <= 1
    assert abs(high - theirs[:, column].max()) <= 1
    spread = theirs[:, column].std() / np.sqrt(len(ours))
    assert abs(ours[:, column].mean() - theirs[:, column].mean()) < 5 * spread
  for one, other in [(2, 3), (0, 2), (2, 4), (4, 5)]:
    assert abs(correlation(ours, one, other) - correlation(theirs, one, other)) < 0.08


def correlation(rows, one, other):
  return np.corrcoef(rows[:, one], rows[:, other])[0, 1]


def detr(rng, params):
  zoom = params.augmentation.zoom
  resize = lambda h, w, size, most: shortest_edge(h, w, size, most)
  height, width = resize(*SHAPE, rng.choice(zoom.min_sizes), 10**6)
  ch = rng.integers(min(height, zoom.low), min(height, zoom.high) + 1)
  cw = rng.integers(min(width, zoom.low), min(width, zoom.high) + 1)
  y, x = rng.integers(height - ch + 1), rng.integers(width - cw + 1)
  shown = resize(ch, cw, rng.choice(params.min_sizes), params.max_size)
  ratio = SHAPE[0] / height, SHAPE[1] / width
  first = round(y * ratio[0]), round(x * ratio[1])
  last = round((y + ch) * ratio[0]), round((x + cw) * ratio[1])
  return [*first, last[0] - first[0], last[1] - first[1], *shown]


def shortest_edge(h, w, size, longest):
  scale = min(size / min(h, w), longest / max(h, w))
  return int(h * scale + 0.5), int(w * scale + 0.5)


def test_the_zoom_is_made_as_often_as_is_asked():
  zoom = dataclasses.replace(SMALL, probability=0.3)
  found, _ = views(config(augmentation={"zoom": zoom}))
  whole = (found[:, 2:4] == SHAPE).all(1).mean()
  assert abs(whole - 0.7) < 0.07


def test_windows_without_too_much_of_one_category():
  """Category 0 fills the left two thirds; with a limit of 0.75 windows must reach the rest."""
  places = np.ones(SHAPE, np.uint8)
  places[:, 40:] = 2
  crop = {"crop": [20, 20]}
  free, _ = views(config(min_sizes=[40], augmentation=crop), places=places)
  bound, _ = views(
    config(min_sizes=[40], augmentation=crop | {"max_category_area": 0.75}), places=places
  )
  shares = [np.clip((40 - each[:, 1]) / 20, 0, 1) for each in (free, bound)]
  largest = [np.maximum(share, 1 - share) for share in shares]
  assert (largest[0] >= 0.75).mean() > 0.6
  assert (largest[1] >= 0.75).mean() < 0.08  # About 0.76 ** 10: ten misses.
  changed = (free != bound).any(1)
  assert (largest[0][changed] >= 0.75).all()  # A good first window is taken.


def test_segments_of_one_category_count_together_and_void_counts_not():
  """Two things of one category are all there is but void: no window will do, the last is taken."""
  places = np.ones(SHAPE, np.uint8)
  places[:, 20:] = 2
  places[::3] = 0
  crop = {"crop": [20, 20]}
  options = {"places": places, "count": 60}
  strict = config(min_sizes=[40], augmentation=crop | {"max_category_area": 0.75})
  first, _ = views(config(min_sizes=[40], augmentation=crop), classes=(5, 5), **options)
  none, _ = views(strict, classes=(5, 5), **options)
  last = tf.random.stateless_uniform([60, sampling.DRAWS], [3, 4]).numpy()[:, -2:]
  np.testing.assert_array_equal(none[:, :2], np.floor(last * [21, 41]))
  mixed, _ = views(strict, classes=(5, 6), **options)
  assert (mixed == first).all(1).mean() > 0.1
  assert (mixed != none).any()


@pytest.mark.parametrize("places", [np.zeros(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)])
@pytest.mark.parametrize("classes", [[], [3]])
def test_the_constraint_on_images_of_void(places, classes):
  params = config(augmentation={"crop": [20, 20], "max_category_area": 0.5})
  found, _ = views(params, 10, places * len(classes), np.int32(classes))
  assert (found[:, 4:] == 20).all()
