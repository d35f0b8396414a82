"""Drawn boxes, checked pixel by pixel."""

import numpy as np
import pytest

from official.reports.boxes import (
  Box,
  class_colour,
  detections_to_boxes,
  draw_boxes,
  truth_to_boxes,
)

NAMES = ("cat", "dog")


def blank(height=400, width=500):
  return np.zeros((height, width, 3), np.uint8)


def test_colours_differ_and_stay():
  colours = [class_colour(index) for index in range(80)]
  assert len(set(colours)) == 80
  assert colours[0] == (242, 36, 36)  # Hue 0, saturation 0.85, value 0.95.


def test_detections_at_or_above_the_score():
  detections = {
    "boxes": np.float32([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 0], [9, 9, 9, 9]]),
    "classes": np.int32([1, 0, -1, 0]),
    "scores": np.float32([0.75, 0.5, 0.9, 0.49]),
  }
  assert detections_to_boxes(detections, NAMES, 0.5) == [
    Box((1, 2, 3, 4), 1, "dog 0.75"),
    Box((5, 6, 7, 8), 0, "cat 0.50"),
  ]


def test_truth_names_crowds_and_leaves_out_padding():
  truth = {
    "boxes": np.float32([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 0]]),
    "classes": np.int32([1, 0, -1]),
    "is_crowd": np.array([False, True, False]),
    "valid": np.array([True, True, False]),
  }
  boxes = truth_to_boxes(truth, NAMES)
  assert [box.label for box in boxes] == ["dog", "cat (crowd)"]
  assert boxes[1].yxyx == (5, 6, 7, 8)


def test_the_outline_runs_along_the_box_and_no_further():
  drawn = np.asarray(draw_boxes(blank(), [Box((100, 50, 300, 250), 0, "cat")]))
  colour = np.array(class_colour(0))
  for y, x in ((200, 50), (200, 250), (300, 150), (300, 50), (300, 250)):
    np.testing.assert_array_equal(drawn[y, x], colour)
  assert not drawn[200, 150].any(), "the box is not filled"
  rows, columns = np.nonzero(drawn.any(-1))
  assert rows.max() == 300
  assert (columns.min(), columns.max()) == (50, 250)
  assert rows.min() < 100, "the label stands above the box"


def test_a_label_at_the_top_edge_is_inside_the_picture():
  drawn = np.asarray(draw_boxes(blank(), [Box((0, 50, 300, 250), 0, "cat")]))
  plate = (drawn[3:12, 52:70] == class_colour(0)).all(-1)
  assert plate.mean() > 0.4


def test_the_input_is_not_drawn_on():
  image = blank()
  draw_boxes(image, [Box((100, 50, 300, 250), 0, "cat")])
  assert not image.any()


def test_small_images_are_enlarged_by_a_whole_factor():
  image = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
  drawn = np.asarray(draw_boxes(image, []))
  np.testing.assert_array_equal(drawn, image.repeat(4, 0).repeat(4, 1))  # To 320 at least.
  boxed = np.asarray(draw_boxes(blank(100, 150), [Box((50, 20, 90, 120), 1, "dog")]))
  np.testing.assert_array_equal(boxed[280, 80], class_colour(1))


@pytest.mark.parametrize("yxyx", [(-20, -20, 900, 900), (50, 60, 40, 30), (450, 10, 460, 20)])
def test_odd_boxes_do_not_stop_the_drawing(yxyx):
  assert draw_boxes(blank(), [Box(yxyx, 0, "cat")]).size == (500, 400)
