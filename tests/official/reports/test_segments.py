"""Drawn segments and legends, checked pixel by pixel."""

import numpy as np
import pytest

from official.reports.boxes import class_colour
from official.reports.segments import Segment, add_legend, draw_segments, found_segments

GREY = 100
CAT, DOG = Segment(7, 0, "cat", 0.93), Segment(16777215, 1, "dog")


def grey(height=400, width=500):
  return np.full((height, width, 3), GREY, np.uint8)


def halves(height=400, width=500):
  """Void above, a cat at the left below, a dog at the right."""
  ids = np.zeros((height, width), np.int32)
  ids[height // 2 :, : width // 2] = CAT.id
  ids[height // 2 :, width // 2 :] = DOG.id
  return ids


def mixed(index):
  return np.round(0.45 * GREY + 0.55 * np.array(class_colour(index)))


def drawn(*segments, ids=None):
  return np.asarray(draw_segments(grey(), halves() if ids is None else ids, segments))


def test_each_segment_has_its_class_colour_and_void_its_own():
  picture = drawn(DOG, CAT)
  np.testing.assert_array_equal(picture[390, 20], mixed(0))
  np.testing.assert_array_equal(picture[390, 480], mixed(1))
  np.testing.assert_array_equal(picture[:199], grey()[:199])


def test_outlines_run_between_segments_and_nowhere_else():
  white = (drawn(DOG, CAT) == 255).all(-1)
  assert white[199].all()
  assert white[200:, 249].all()
  white[199], white[200:, 249] = False, False
  assert not white[:, :20].any()
  assert not white[:250].any()


def test_what_is_not_listed_is_not_drawn():
  picture = drawn(CAT)
  np.testing.assert_array_equal(picture[300:, 260:], grey()[300:, 260:])
  np.testing.assert_array_equal(drawn(DOG)[300:, :240], grey()[300:, :240])
  np.testing.assert_array_equal(drawn(), grey())


def test_the_label_stands_in_the_middle_of_its_segment():
  plate = (drawn(CAT) == class_colour(0)).all(-1)
  rows, columns = np.nonzero(plate)
  assert abs(rows.mean() - 299.5) < 8
  assert abs(columns.mean() - 124.5) < 16
  assert rows.min() >= 200
  assert columns.max() < 249
  nameless = drawn(Segment(CAT.id, 0, ""))
  assert plate.sum() > 4 * (nameless == class_colour(0)).all(-1).sum()


def test_scores_widen_the_label():
  extents = []
  for score in (None, 0.5):
    plate = (drawn(Segment(CAT.id, 0, "cat", score)) == class_colour(0)).all(-1)
    extents.append(np.ptp(np.nonzero(plate)[1]))
  assert extents[1] > extents[0] + 15


def test_the_label_of_a_ring_stands_on_the_ring():
  y, x = np.mgrid[:400, :500]
  distance = np.hypot(y - 200, x - 250)
  ring = (distance < 190) & (distance > 120)
  picture = drawn(CAT, ids=np.where(ring, CAT.id, 0))
  plate = (picture == class_colour(0)).all(-1)
  assert plate.any()
  assert ring[plate].all()


def test_a_segment_too_small_for_its_label_has_none():
  ids = np.zeros((400, 500), np.int32)
  ids[100:106, 100:106] = CAT.id
  picture = drawn(CAT, ids=ids)
  assert not (picture == class_colour(0)).all(-1).any()
  np.testing.assert_array_equal(picture[103, 103], mixed(0))


def test_small_images_are_enlarged_by_a_whole_factor():
  picture = draw_segments(grey(40, 50), halves(40, 50), [Segment(CAT.id, 0, "")])
  assert picture.size == (400, 320)
  np.testing.assert_array_equal(np.asarray(picture)[310, 10], mixed(0))


def test_the_inputs_are_not_drawn_on():
  image, ids = grey(), halves()
  draw_segments(image, ids, [CAT, DOG])
  np.testing.assert_array_equal(image, grey())
  np.testing.assert_array_equal(ids, halves())


def test_the_legend_lists_each_class_once_beside_the_picture():
  picture = draw_segments(grey(), halves(), [])
  sheet = np.asarray(add_legend(picture, [DOG, CAT, Segment(9, 1, "dog")]))
  np.testing.assert_array_equal(sheet[:, :500], np.asarray(picture))
  legend = sheet[:, 500:]
  swatches = [np.nonzero((legend == class_colour(index)).all(-1)) for index in (0, 1)]
  assert all(len(rows) > 80 for rows, _ in swatches)
  assert swatches[0][0].max() < swatches[1][0].min(), "in the order of the classes"
  ink = legend.sum(-1, dtype=int) < 300
  cat, dog = (np.ptp(np.nonzero(ink[rows.min() : rows.max()].any(0))[0]) for rows, _ in swatches)
  assert dog > cat + 10, "two dogs are counted"


def test_a_long_legend_has_columns():
  picture = draw_segments(grey(), halves(), [])
  few = add_legend(picture, [Segment(i, i, "name") for i in range(5)])
  many = add_legend(picture, [Segment(i, i, "name") for i in range(60)])
  assert few.height == many.height == 400
  assert (many.width - 500) >= 3 * (few.width - 500)
  pixels = np.asarray(many)[:, 500:]
  for index in range(60):
    assert (pixels == class_colour(index)).all(-1).sum() > 80


def test_nothing_to_list():
  picture = draw_segments(grey(), halves(), [])
  assert add_legend(picture, []).size == picture.size


def test_found_segments_are_numbered_from_one():
  classes, scores = np.int32([1, 0, -1]), np.float32([0.75, 0.5, 0])
  assert found_segments(classes, scores, ("cat", "dog")) == [
    Segment(1, 1, "dog", 0.75),
    Segment(2, 0, "cat", 0.5),
  ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64])
def test_ids_of_any_integer_type(dtype):
  ids = (halves() == CAT.id).astype(dtype) * 7
  np.testing.assert_array_equal(drawn(CAT, ids=ids), drawn(CAT, ids=ids.astype(np.int32)))
