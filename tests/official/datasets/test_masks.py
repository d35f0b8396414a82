import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools import mask as mask_api

from official.datasets.annotations import Category, Panoptic, Segment
from official.datasets.masks import (
  decode_segmentation,
  encode_png,
  fits_masks,
  panoptic_masks,
  read_panoptic,
  segment_places,
)
from official.datasets.problems import BadInput

MASK = (np.random.default_rng(0).random((30, 40)) < 0.4).astype(np.uint8)
CATEGORIES = {
  5: Category(5, "cat", True),
  9: Category(9, "dog", True),
  100: Category(100, "sky", False),
}


def segment(identity, category, crowd=False):
  return Segment(identity, category, (0, 0, 1, 1), 1, crowd)


def test_compressed_run_lengths():
  coded = mask_api.encode(np.asfortranarray(MASK))
  segmentation = {"size": [30, 40], "counts": coded["counts"].decode()}
  np.testing.assert_array_equal(decode_segmentation(segmentation, 30, 40), MASK)


def test_uncompressed_run_lengths_go_down_the_columns():
  segmentation = {"size": [2, 3], "counts": [1, 2, 3]}
  assert decode_segmentation(segmentation, 2, 3).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_polygons_are_united():
  polygons = [[0, 0, 4, 0, 4, 5, 0, 5], [2, 1, 10.5, 1, 10.5, 8, 2, 8]]
  rles = mask_api.frPyObjects(polygons, 30, 40)
  expected = np.bitwise_or.reduce(mask_api.decode(rles), axis=2)
  mask = decode_segmentation(polygons, 30, 40)
  np.testing.assert_array_equal(mask, expected)
  assert mask[:5, :4].all()
  assert not mask[9:].any()


@pytest.mark.parametrize(
  ("segmentation", "message"),
  [
    ({"size": [40, 30], "counts": [1200]}, r"size \[40, 30\] is not the image's, \[30, 40\]"),
    ({"size": [30, 40], "counts": [1199]}, "cover 1199 pixels of 1200"),
    ({"size": [30, 40], "counts": [1300, -100]}, "neither a string nor"),
    ({"size": [30, 40]}, "neither a string nor"),
    ([], "neither polygons nor"),
    (None, "neither polygons nor"),
    ([[1, 2, 3, 4]], "no three points"),
    ([[1, 2, 3, 4, 5, 6, 7]], "no three points"),
    ([[1, 2, 3, 4, 5, "6"]], "something else than numbers"),
    ([[1, 2, 3, 4, 5, float("nan")]], "something else than numbers"),
  ],
)
def test_malformed_segmentations(segmentation, message):
  with pytest.raises(BadInput, match=message):
    decode_segmentation(segmentation, 30, 40)


@pytest.mark.parametrize("shape", [(1, 1), (30, 41), (257, 3)])
def test_png_round_trip(shape):
  mask = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
  data = encode_png(mask)
  with Image.open(io.BytesIO(data)) as image:
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), mask)
  np.testing.assert_array_equal(tf.io.decode_png(data)[..., 0].numpy(), mask)


def save(path, colours):
  Image.fromarray(np.array(colours, np.uint8)).save(path)
  return path


def test_panoptic_colours(tmp_path):
  path = save(tmp_path / "x.png", [[(1, 2, 3), (0, 0, 0), (255, 255, 255)]])
  assert read_panoptic(path, 1, 3).tolist() == [[1 + 2 * 256 + 3 * 65536, 0, (1 << 24) - 1]]


def test_panoptic_file_of_another_size_or_kind(tmp_path):
  path = save(tmp_path / "x.png", [[(1, 2, 3), (0, 0, 0)]])
  with pytest.raises(BadInput, match=r"x\.png is 2x1, the image 1x2"):
    read_panoptic(path, 2, 1)
  with pytest.raises(BadInput, match=r"x\.png is L, not RGB"):
    read_panoptic(save(tmp_path / "x.png", [[1, 2]]), 1, 2)
  with pytest.raises(BadInput, match=r"cannot read the mask .*gone\.png"):
    read_panoptic(tmp_path / "gone.png", 1, 2)
  path = save(tmp_path / "y.png", [[(1, 2, 3), (0, 0, 0)]])
  path.write_bytes(path.read_bytes()[:50])
  with pytest.raises(BadInput, match="cannot read the mask"):
    read_panoptic(path, 1, 2)


def test_three_masks_by_hand():
  ids = np.array([[70000, 70000, 0], [8, 300, 300]], np.uint32)
  panoptic = Panoptic("x.png", (segment(300, 9), segment(8, 100), segment(70000, 5, crowd=True)))
  for _ in range(2):  # The second call finds a clean table.
    places = segment_places(ids, panoptic)
    assert places.dtype == np.uint8
    assert places.tolist() == [[3, 3, 0], [2, 1, 1]]
    masks = panoptic_masks(places, panoptic, CATEGORIES)
    assert {mask.dtype.name for mask in masks.values()} == {"uint8"}
    assert masks["category"].tolist() == [[5, 5, 0], [100, 9, 9]]
    assert masks["instance"].tolist() == [[3, 3, 0], [0, 1, 1]]
    assert masks["semantic"].tolist() == [[1, 1, 0], [10, 1, 1]]
  other = Panoptic("y.png", (segment(4, 9),))
  with pytest.raises(BadInput, match="segment 300 that is not annotated"):
    segment_places(np.array([[4, 300]], np.uint32), other)


@pytest.mark.parametrize(
  ("segments", "message"),
  [
    ([segment(300, 9)], "segment 8 that is not annotated"),
    ([segment(300, 9), segment(8, 100), segment(5, 5)], "segment 5 has no pixel"),
    ([segment(300, 9), segment(0, 100)], "not a colour"),
    ([segment(300, 9), segment(1 << 24, 100)], "not a colour"),
  ],
)
def test_pixels_and_annotation_must_agree(segments, message):
  ids = np.array([[0, 300, 8]], np.uint32)
  with pytest.raises(BadInput, match=message):
    segment_places(ids, Panoptic("x.png", tuple(segments)))


def test_255_segments_fit():
  ids = np.arange(1, 257, dtype=np.uint32)[None]
  segments = tuple(segment(number, 5) for number in range(1, 257))
  places = segment_places(ids[:, :255], Panoptic("x.png", segments[:255]))
  assert places.tolist() == ids[:, :255].tolist()
  with pytest.raises(BadInput, match="256 segments; a record holds 255"):
    segment_places(ids, Panoptic("x.png", segments))


@pytest.mark.parametrize(
  ("category", "fits"),
  [
    (Category(90, "mud", False), False),
    (Category(91, "mud", False), True),
    (Category(255, "far", True), True),
    (Category(256, "far", True), False),
    (Category(0, "void", True), False),
    (Category(256, "far", False), False),
  ],
)
def test_what_upstreams_masks_can_hold(category, fits):
  assert fits_masks([*CATEGORIES.values(), category]) == fits
