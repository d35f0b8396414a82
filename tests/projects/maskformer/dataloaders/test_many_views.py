"""Views of several sizes: as detectron2 makes them with Pillow, on canvases of fixed sizes."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official.cli.errors import UserError
from projects.maskformer.configs.data import DataConfig, ManyViews
from projects.maskformer.dataloaders.many_views import canvases, make_views

VIEWS = ManyViews(enabled=True, min_sizes=[32, 48, 72], max_size=100)
DATA = DataConfig(output_size=[48, 72], min_sizes=[48], max_size=200, many_views=VIEWS)


def picture(height, width):
  small = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
  return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def test_sizes_and_pixels_are_those_of_pillow_in_a_pipeline():
  image = picture(48, 64)
  data = tf.data.Dataset.from_tensors(image).map(lambda x: tuple(make_views(x, DATA)))
  (made,) = data.as_numpy_iterator()
  # Sizes by hand: the longest side of the last one, 96, stays below 100.
  for place, size in enumerate([(32, 43), (48, 64), (72, 96)]):
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    plain, mirrored = made[2 * place : 2 * place + 2]
    assert plain.shown.tolist() == mirrored.shown.tolist() == list(size)
    shown = plain.image[: size[0], : size[1]].astype(int)
    assert np.abs(shown - np.asarray(resized)).max() <= 1
    np.testing.assert_array_equal(mirrored.image[: size[0], : size[1]], shown[:, ::-1])
    for each in (plain, mirrored):
      assert each.padding.sum() == each.padding[: size[0], : size[1]].sum() == size[0] * size[1]
      assert not each.image[~each.padding].any()
  np.testing.assert_array_equal(made[2].image[:48, :64], image)


def test_canvases_grow_with_the_views_to_multiples_of_32():
  # 48 × 32/48 = 32, 72 × 32/48 = 48; 48, 72; 48 × 72/48 = 72, 72 × 72/48 = 108.
  rooms = [[32, 64], [64, 96], [96, 128]]
  assert canvases(DATA) == [room for room in rooms for _ in range(2)]
  assert [list(view.padding.shape) for view in make_views(picture(48, 64), DATA)] == canvases(DATA)


def test_a_view_beyond_the_longest_side_or_the_canvas_is_shrunk():
  long = [view.shown.numpy().tolist() for view in make_views(picture(24, 72), DATA)]
  # 32 × 96 into 32 × 64; 48 × 144, at most 100 long: 33 × 100, into 96; 33 × 100 for 72, too.
  assert long[::2] == [[21, 64], [32, 96], [33, 100]]


@pytest.mark.parametrize("views", [{"min_sizes": []}, {"min_sizes": [0]}, {"max_size": 0}])
def test_sizes_that_cannot_be(views):
  with pytest.raises(UserError, match="many_views: min_sizes and max_size"):
    canvases(DATA.replace(many_views=VIEWS.replace(**views)))
