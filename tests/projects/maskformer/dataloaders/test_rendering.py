"""Pixels and segments of views against PIL and coordinates painted into images."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from projects.maskformer.dataloaders import rendering
from projects.maskformer.dataloaders.views import View
from tests.projects.maskformer.dataloaders import records


def make_view(start, size, output):
  return View(*(tf.constant(each, tf.int32) for each in (start, size, output)))


def encode(array, form, **options):
  file = io.BytesIO()
  PIL.Image.fromarray(array).save(file, form, **options)
  return tf.constant(file.getvalue())


def render(array, view, form="PNG", **options):
  image, used = rendering.image(encode(array, form, **options), view, tf.shape(array)[:2])
  return image.numpy(), used


VIEWS = {
  "whole": ((0, 0), (60, 90), (60, 90)),
  "larger": ((0, 0), (60, 90), (150, 225)),
  "smaller": ((0, 0), (60, 90), (40, 60)),
  "window": ((13, 7), (20, 50), (20, 50)),
  "enlarged window": ((13, 7), (20, 50), (33, 80)),
  "shrunk window": ((11, 30), (40, 60), (31, 47)),
  "stretched": ((5, 3), (50, 40), (26, 80)),
  "halved": ((4, 2), (50, 40), (25, 20)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_segments_are_pils_nearest(name):
  start, size, output = VIEWS[name]
  places = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)
  seen = rendering.segments(tf.constant(places), make_view(start, size, output))
  window = PIL.Image.fromarray(places[start[0] : start[0] + size[0], start[1] : start[1] + size[1]])
  expected = np.asarray(window.resize(output[::-1], PIL.Image.Resampling.NEAREST))
  # Between two source pixels PIL takes either, as its sums are rounded.
  clear = np.ix_(*(has_one_nearest(n, m) for n, m in zip(size, output, strict=True)))
  np.testing.assert_array_equal(seen.numpy()[clear], expected[clear])
  assert expected[clear].size > 100 or name == "halved"
  mirrored = rendering.segments(tf.constant(places), make_view(start, size, output), True)
  np.testing.assert_array_equal(mirrored, seen.numpy()[:, ::-1])


def has_one_nearest(size, output):
  return (2 * np.arange(output) + 1) * size % (2 * output) != 0


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_painted_coordinates_are_where_segments_are(name, form):
  """Each pixel's colour tells which source pixel it shows; its segment is that pixel's."""
  start, size, output = VIEWS[name]
  view = make_view(start, size, output)
  options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
  image, _ = render(records.ramps(60, 90), view, form, **options)
  slack = 0.8 if form == "JPEG" else 0  # Two or three levels.
  y, x = image[..., 0] / 255 * 60, image[..., 1] / 255 * 90
  rows, columns = np.arange(60)[:, None] + np.zeros(90, int), np.zeros((60, 1), int) + np.arange(90)
  for truth, shown, axis in ((rows, y, 0), (columns, x, 1)):
    seen = rendering.segments(tf.constant(truth, tf.uint8), view).numpy() + 0.5
    step = size[axis] / output[axis]
    # Half an output or a source pixel; and levels are whole: 90 / 255 of a pixel, half of it.
    assert np.abs(seen - shown).max() <= max(step, 1) / 2 + 0.4 + slack
    between = 0.5 * (step % 2 == 0)  # All middles lie between two source pixels.
    assert np.abs((seen - shown).mean() - between) < 0.12 + slack / 10


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_shrunk_jpegs_lie_where_segments_do(ratio):
  height, width = 259, 389  # Neither is a multiple of eight.
  image = records.ramps(height, width)
  view = make_view((37, 50), (150, 270), (150 // ratio - 1, 270 // ratio - 1))
  shown, used = render(image, view, "JPEG", quality=100, subsampling=0)
  for each in (used.start, used.size):
    assert not (each.numpy() % ratio).any()
  rows, columns = (np.repeat(each, 3, 2).astype(np.uint8)[..., 0] for each in (
    image[..., :1], image[..., 1:2]
  ))  # fmt: skip
  for truth, plane in ((rows, shown[..., 0]), (columns, shown[..., 1])):
    seen = rendering.segments(tf.constant(truth), used).numpy().astype(float)
    assert np.abs((seen - plane).mean()) < 0.6
    assert np.abs(seen - plane).max() < 255 * ratio / 259 + 1


@pytest.mark.parametrize("output", [(150, 225), (60, 90), (40, 60), (30, 90), (25, 37)])
def test_pixels_are_near_pils(output):
  """Enlarging is PIL's bilinear; shrinking averages areas, where PIL weighs by triangles."""
  rng = np.random.default_rng(0)
  smooth = PIL.Image.fromarray(rng.integers(0, 256, (12, 18, 3), np.uint8)).resize((90, 60))
  image, _ = render(np.asarray(smooth), make_view((0, 0), (60, 90), output))
  expected = np.asarray(smooth.resize(output[::-1], PIL.Image.Resampling.BILINEAR))
  difference = np.abs(image - expected)
  shrinks = output[0] < 60
  assert difference.mean() < (6 if shrinks else 0.4)
  assert np.abs((image - expected).mean((0, 1))).max() < 1
  assert shrinks or difference.max() < 1.1


def test_a_window_is_cut_before_it_is_enlarged():
  image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
  shown, _ = render(image, make_view((13, 7), (20, 50), (40, 100)))
  window = PIL.Image.fromarray(image[13:33, 7:57])
  expected = np.asarray(window.resize((100, 40), PIL.Image.Resampling.BILINEAR))
  assert np.abs(shown - expected).max() < 1.1


@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpegs_window_is_decoded_as_in_the_whole(shared, subsampling):
  path = shared / "data/coco_sample/input_images/000000439180.jpg"
  photograph = np.asarray(PIL.Image.open(path))
  options = {"quality": 90, "subsampling": subsampling}
  data = encode(photograph, "JPEG", **options)
  whole = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
  shown, _ = render(photograph, make_view((101, 33), (77, 200), (77, 200)), "JPEG", **options)
  assert np.abs(shown - whole[101:178, 33:233])[1:-1, 1:-1].max() <= 1


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_grey_images_and_single_pixels(form):
  image, _ = render(np.full((5, 7), 90, np.uint8), make_view((1, 1), (3, 3), (6, 6)), form)
  np.testing.assert_allclose(image, 90, atol=1)
  image, _ = render(np.full((1, 1, 3), 90, np.uint8), make_view((0, 0), (1, 1), (4, 4)), form)
  np.testing.assert_allclose(image, np.full((4, 4, 3), 90), atol=1)


def test_padding():
  image = tf.ones([2, 3, 3], tf.uint8)
  padded = rendering.pad(image, (4, 5), 128).numpy()
  assert (padded[:2, :3] == 1).all()
  assert (padded[2:] == 128).all()
  assert (padded[:, 3:] == 128).all()
  assert rendering.pad(tf.ones([2, 2], tf.bool), (2, 3), 0).numpy().tolist() == [[1, 1, 0]] * 2


@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_in_a_dataset(where):
  array = records.ramps(64, 96)
  inputs = (encode(array, "JPEG"), np.int32([8, 8]), np.int32([48, 64]), np.int32([12, 16]))

  def run(data, start, size, output):
    return rendering.image(data, View(start, size, output), tf.constant([64, 96]))[0]

  if where == "eager":
    image = run(*inputs)
  else:
    image = next(iter(tf.data.Dataset.from_tensors(inputs).map(run)))
  expected = array[8:56, 8:72].reshape(12, 4, 16, 4, 3).mean((1, 3))
  image = np.asarray(image)
  assert np.abs(image - expected).max() < 6
  assert np.abs((image - expected).mean()) < 0.3
