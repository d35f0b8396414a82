"""Anchors: figures by hand and by SciPy, clusters that are known, evolution that never falls."""

import itertools

import numpy as np
from scipy.cluster.vq import kmeans

from projects.yolo.ops import anchors


def _clouds(rng, spread=0.05):
  """Boxes around three sizes, 200 each."""
  centres = np.array([[10, 30], [60, 20], [100, 110]], float)
  noise = rng.normal(1, spread, [3, 200, 2])
  return centres, (centres[:, None] * noise).reshape(-1, 2)


def test_quality_by_hand():
  sizes = np.array([[10, 10], [20, 20], [100, 10]], float)
  found = anchors.quality(np.array([[10, 10], [10, 40]], float), sizes, ratio_threshold=4)
  # Fits: 1 and 1/4; 1/2 and 1/2; 1/10 and 1/10. At the threshold itself, 1/4, none fits.
  np.testing.assert_allclose(found, [(1 + 0.5 + 0) / 3, 2 / 3, 3 / 3])


def test_known_clusters_are_found():
  rng = np.random.default_rng(0)
  centres, sizes = _clouds(rng)
  found = anchors.by_area(anchors.cluster(sizes, 3, rng))
  np.testing.assert_allclose(found, anchors.by_area(centres), rtol=0.02)


def test_clusters_are_as_tight_as_scipys():
  rng = np.random.default_rng(1)
  sizes = rng.lognormal(4, 0.8, [500, 2])
  scale = sizes.std(axis=0)
  theirs = kmeans(sizes / scale, 9, iter=10, seed=0)[0]
  ours = anchors.cluster(sizes, 9, rng) / scale
  spread = lambda k: np.linalg.norm((sizes / scale)[:, None] - k, axis=-1).min(axis=1).mean()
  assert spread(ours) < 1.03 * spread(theirs)


def test_evolution_never_falls_and_rises():
  rng = np.random.default_rng(2)
  sizes = rng.lognormal(4, 0.8, [300, 2])
  first = anchors.cluster(sizes, 4, rng)
  found = [first, *anchors.evolve(first, sizes, 4.0, 300, rng)]
  assert len(found) == 301
  fitness = [anchors.quality(each, sizes, 4.0).fitness for each in found]
  assert all(a <= b for a, b in itertools.pairwise(fitness))
  assert fitness[-1] > fitness[0] + 0.005
  assert min(each.min() for each in found) >= 2


def test_equal_boxes_make_no_empty_anchors():
  sizes = np.repeat([[8.0, 8.0], [16.0, 16.0]], 50, axis=0)
  found = anchors.cluster(sizes, 2, np.random.default_rng(0))
  np.testing.assert_allclose(anchors.by_area(found), [[8, 8], [16, 16]])
