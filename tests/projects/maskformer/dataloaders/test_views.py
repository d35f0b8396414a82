"""Sizes and windows, against detectron2's formula and by enumeration."""

import numpy as np
import pytest
import tensorflow as tf

from projects.maskformer.dataloaders import views
from projects.maskformer.dataloaders.views import View


def detectron2_shape(h, w, size, longest):
  """ResizeShortestEdge's arithmetic, in Python's numbers."""
  scale = size * 1.0 / min(h, w)
  new_h, new_w = (size * 1.0, scale * w) if h < w else (scale * h, size * 1.0)
  if max(new_h, new_w) > longest:
    scale = longest * 1.0 / max(new_h, new_w)
    new_h, new_w = new_h * scale, new_w * scale
  return [int(new_h + 0.5), int(new_w + 0.5)]


def test_resized_shape_is_detectron2s():
  rng = np.random.default_rng(0)
  cases = [(480, 640, 800, 1333), (427, 640, 800, 1333), (640, 480, 480, 500), (5, 5, 7, 7)]
  cases += [tuple(rng.integers((20, 20, 20, 300), (900, 900, 1100, 2000))) for _ in range(2000)]
  # Ties and sides whose double is odd.
  cases += [(2 * n, 2 * n + 1, n, 10**6) for n in range(1, 60)]
  compute = tf.function(views.resized_shape, reduce_retracing=True)
  for h, w, size, longest in cases:
    ours = compute(tf.constant([h, w]), tf.constant(size), tf.constant(float(longest), tf.float64))
    assert ours.numpy().tolist() == detectron2_shape(h, w, size, longest), (h, w, size, longest)


@pytest.mark.parametrize(
  ("shown", "room", "expected"),
  [
    ((480, 640), (480, 640), (480, 640)), ((480, 640), (512, 512), (384, 512)),
    ((960, 640), (480, 640), (480, 320)), ((100, 7), (10, 10), (10, 1)), ((90, 1), (9, 9), (9, 1)),
  ],
)  # fmt: skip
def test_what_is_too_large_is_fitted(shown, room, expected):
  assert views.fitted(tf.constant(shown), room).numpy().tolist() == list(expected)


def test_windows_reach_every_position_and_stay_inside():
  shape, resized, size = (tf.constant(each) for each in ([30, 44], [60, 22], [20, 10]))
  draws = np.random.default_rng(0).random((3000, 2)).astype(np.float32)
  found = np.array([
    np.concatenate(views.window(shape, resized, size, tf.constant(draw))) for draw in draws
  ])  # fmt: skip
  # 41 positions of half a source pixel; 13 of two.
  assert set(found[:, 0]) == set(range(21))
  assert set(found[:, 1]) == {2 * n for n in range(13)}
  assert set(found[:, 2]) <= {10}
  assert set(found[:, 3]) == {20}
  shares = np.bincount(found[:, 1] // 2) / len(found)
  assert np.abs(shares - 1 / 13).max() < 0.02


@pytest.mark.parametrize("position", [0.0, 0.5, 0.99999994])
@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (37, 41)])
def test_windows_of_tiny_images_are_inside(position, shape):
  for resized in ((64, 64), (1, 700)):
    for size in ((1, 1), (1, 64), (1, 30)):
      start, extent = views.window(
        *map(tf.constant, (shape, resized, size)), tf.fill([2], position)
      )
      assert (start.numpy() >= 0).all()
      assert (extent.numpy() >= 1).all()
      assert (start.numpy() + extent.numpy() <= shape).all()


def test_a_window_of_the_whole_is_the_whole():
  start, extent = views.window(*map(tf.constant, ([37, 41], [90, 51], [90, 51])), tf.fill([2], 0.7))
  assert start.numpy().tolist() == [0, 0]
  assert extent.numpy().tolist() == [37, 41]


@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
def test_aligned_windows_lie_on_blocks_near_by(ratio):
  rng = np.random.default_rng(ratio)
  for _ in range(100):
    shape = rng.integers(2 * ratio, 90, 2)
    start = rng.integers(0, shape - 2 * ratio + 1)  # Who shrinks by 8 shows more than a block.
    size = rng.integers(2 * ratio, shape - start + 1)
    view = views.aligned(
      View(*(tf.constant(each, tf.int32) for each in (start, size, [9, 9]))),
      tf.constant(shape, tf.int32), tf.constant(ratio),
    )  # fmt: skip
    first, extent = view.start.numpy(), view.size.numpy()
    assert not (first % ratio).any()
    assert not (extent % ratio).any()
    assert (extent > 0).all()
    assert (first + extent <= shape).all()
    assert (np.abs(first - start) <= ratio / 2).all()
    lost = start + size - first - extent  # What is behind the last whole block is lost.
    at_end = start + size > shape - shape % ratio
    assert (np.abs(lost) <= np.where(at_end, ratio - 1, ratio / 2)).all()
    if ratio == 1:
      assert (first == start).all()
      assert (extent == size).all()
