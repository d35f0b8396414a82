"""Pictures of blamed arrays."""

import base64
import io
import re

import ml_dtypes
import numpy as np
import pytest
from PIL import Image

from official.parity.report.arrays import BlamedArrays
from official.parity.report.pictures import add_pictures
from official.reports.page import Page

MAGENTA = (255, 0, 255)


def _drawn(reference, candidate, name="eval/output/a"):
  page = Page("t")
  add_pictures(page, BlamedArrays(name, np.asarray(reference), np.asarray(candidate)))
  text = page.render()
  data = re.findall(r'src="data:image/png;base64,([^"]+)" alt="([^"]*)"', text)
  images = [(Image.open(io.BytesIO(base64.b64decode(d))), caption) for d, caption in data]
  return text, images


def test_maps_show_the_channel_and_image_of_the_largest_difference():
  reference = np.random.default_rng(0).normal(size=(2, 8, 16, 3))
  candidate = reference.copy()
  candidate[1, 6, 13, 2] += 0.25
  text, images = _drawn(reference, candidate)
  captions = [caption for _, caption in images]
  assert [caption.split(":")[0] for caption in captions] == [
    "original [1, ",
    "candidate [1, ",
    "candidate − original [1, ",
  ]
  assert all("[1, :, :, 2]" in caption for caption in captions)
  left, right = float(reference[1, 6, 13, 2]), float(candidate[1, 6, 13, 2])
  sides = f"the original has {left!r}, the candidate {right!r}."
  assert f"Largest difference 250e-3 at [1, 6, 13, 2]: {sides}" in text
  difference = images[2][0].convert("RGB")
  assert difference.size == (256, 128)
  pixels = np.asarray(difference).astype(int)[8::16, 8::16]
  red = pixels[..., 0] - pixels[..., 2]
  assert np.argwhere(red > 50).tolist() == [[6, 13]]
  assert pixels[0, 0].min() > 230


def test_both_sides_share_one_scale():
  reference, candidate = np.zeros((1, 4, 4, 1)), np.full((1, 4, 4, 1), 1.0)
  reference[0, 0, 0, 0] = 2.0
  _, images = _drawn(reference, candidate)
  left, right = (np.asarray(image.convert("RGB")) for image, _ in images[:2])
  colours = [left[-1, -1], right[-1, -1], left[0, 0]]  # 0, 1 and 2 of viridis.
  luminances = [float(colour @ np.array([0.299, 0.587, 0.114])) for colour in colours]
  assert luminances[0] < luminances[1] - 50 < luminances[2] - 100
  np.testing.assert_allclose(colours[1], [33, 145, 140], atol=3)  # The middle of viridis.


def test_finite_values_are_never_magenta_and_equal_ones_are_of_the_middle():
  plane = np.arange(16.0).reshape(1, 4, 4, 1)
  for _, pixels in [(i, np.asarray(i.convert("RGB"))) for i, _ in _drawn(plane, 2 * plane)[1]]:
    assert not (pixels == MAGENTA).all(-1).any()
  same = np.full((1, 4, 4, 1), 7.0)
  colours = [image.convert("RGB").getpixel((0, 0)) for image, _ in _drawn(same, same)[1]]
  np.testing.assert_allclose(colours[0], [33, 145, 140], atol=3)
  np.testing.assert_allclose(colours[2], [247, 247, 247], atol=3)


def test_figures_of_both_sides():
  text, images = _drawn([[0.0, 3.0], [np.nan, 0.0]], [[1.0, 2.0], [np.inf, 4.0]])
  rows = re.findall(r"<tr>(.*?)</tr>", text)
  cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows[1:]]
  assert cells == [
    ["original", "[2, 2]", "0", "1.00", "3.00", "2", "1"],
    ["candidate", "[2, 2]", "1.00", "2.33", "4.00", "0", "1"],
  ]
  assert images[0][1] == "original [:, :]: 0 dark, 4.00 bright"
  assert "red more, blue less, up to 4.00" in images[2][1]


def test_one_pixel_of_a_large_map_is_not_lost():
  reference = np.zeros((1, 2000, 1000, 1))
  for sign, channel in ((1, 0), (-1, 2)):
    candidate = reference.copy()
    candidate[0, 1234, 567, 0] = sign
    _, images = _drawn(reference, candidate)
    pixels = np.asarray(images[2][0].convert("RGB")).astype(int)
    assert max(pixels.shape) <= 256
    far = pixels[..., channel] - pixels[..., 2 - channel] > 50
    assert far.sum() == 1


def test_kernels_are_drawn_by_their_last_axes():
  reference = np.zeros((3, 3, 5, 7))
  candidate = reference.copy()
  candidate[1, 2, 4, 6] = 1
  _, images = _drawn(reference, candidate, "train/gradient/c/kernel")
  assert "[1, 2, :, :]" in images[0][1]
  _, images = _drawn(reference[0], candidate[1])
  assert "[2, :, :]" in images[0][1]


def test_what_is_not_finite_is_magenta_and_counts_as_the_largest_difference():
  reference = np.ones((1, 4, 4, 1))
  candidate = reference.copy()
  candidate[0, 0, 1, 0] = np.nan
  reference[0, 3, 3, 0] = candidate[0, 3, 3, 0] = np.inf
  text, images = _drawn(reference, candidate)
  assert "Largest difference inf at [0, 0, 1, 0]" in text
  rgb = [image.convert("RGB") for image, _ in images]
  assert rgb[1].getpixel((96, 32)) == MAGENTA
  assert rgb[2].getpixel((96, 32)) == MAGENTA
  assert rgb[0].getpixel((96, 32)) != MAGENTA
  assert rgb[0].getpixel((250, 250)) == MAGENTA
  assert rgb[2].getpixel((250, 250)) != MAGENTA  # Both have the same infinity there.


@pytest.mark.parametrize(
  "array",
  [
    np.float64(1.5),
    np.zeros(()),
    np.arange(5.0),
    np.zeros((0, 3)),
    np.zeros((2, 3)),
    np.full((2, 2, 2), np.nan),
    np.full((2, 2), np.inf),
    np.array([[1.7e308, -1.7e308]]),
    np.array([5e-324, 1e-323]),
    np.array([1e16, 1e16 + 2]),
    np.arange(6).reshape(1, 6),
    np.array([True, False]),
    np.array([1 + 2j, 0]),
    np.arange(4, dtype=np.uint8).reshape(2, 2),
    np.ones((3, 2), ml_dtypes.bfloat16),
    np.zeros((1, 2, 3, 2, 2)),
    np.zeros((1, 3000)),
  ],
  ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
@pytest.mark.filterwarnings("error")
def test_any_array_is_drawn(array):
  other = np.zeros_like(array)
  for pair in ((array, array), (array, other), (other, array)):
    text, _ = _drawn(*pair)
    assert str(list(np.shape(array))) in text


def test_unequal_shapes_are_listed_but_not_subtracted():
  text, images = _drawn(np.zeros((1, 4, 4, 2)), np.ones((1, 2, 4, 4)))
  assert "[1, 4, 4, 2]" in text
  assert "[1, 2, 4, 4]" in text
  assert "Largest difference" not in text
  assert not images


def test_a_histogram_counts_every_value():
  values = np.repeat([0.0, 10.0], [3, 100])
  text, _ = _drawn(values, values)
  lines = re.findall(r'<polyline class="(\w+)" points="([^"]+)"', text)
  assert [name for name, _ in lines] == ["original", "candidate"]
  heights = [float(point.split(",")[1]) for point in lines[0][1].split()]
  assert len(set(heights)) == 3  # Three, none, a hundred.
  assert heights[0] > heights[-1]
  assert heights[80] > heights[0]


def test_channels_are_charted_with_their_names():
  candidate = np.zeros((2, 2, 2, 1500))
  candidate[1, 0, 0, 777] = -0.5
  text, _ = _drawn(np.zeros_like(candidate), candidate)
  charted = re.findall(r"<title>channel (\d+): ([^<]+)</title>", text)
  assert len(charted) == 512
  (start,) = [int(channel) for channel, error in charted if error == "500e-3"]
  assert start <= 777 < start + 3
