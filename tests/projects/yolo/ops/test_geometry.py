"""Letterbox and stretch against OpenCV; clipping and packing against hand counts."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.ops import geometry

SHAPES = [(48, 64), (64, 48), (64, 64), (200, 133), (31, 97), (1, 300), (300, 1)]


def photograph(height, width):
  noise = np.random.default_rng(0).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3), np.uint8)
  return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, 3)


def call(function, image, size, where):
  if where == "eager":
    return function(tf.constant(image), size)
  return next(iter(tf.data.Dataset.from_tensors(image).map(lambda each: function(each, size))))


def opencv(image, height, width):
  """As Scaled-YOLOv4 resizes for evaluation."""
  shrinks = height < image.shape[0] and width < image.shape[1]
  how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
  return cv2.resize(image, (width, height), interpolation=how)


@pytest.mark.parametrize("shape", SHAPES[:5])
@pytest.mark.parametrize("size", [64, 96])
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_letterbox_is_opencv(shape, size, where):
  image = photograph(*shape)
  ours, info = call(geometry.letterbox, image, size, where)
  ours, (scale_y, scale_x, top, left) = ours.numpy().astype(int), info.numpy()
  height, width = round(scale_y * shape[0]), round(scale_x * shape[1])
  assert max(height, width) == size
  ratio = size / max(shape)
  np.testing.assert_allclose([height, width], np.multiply(shape, ratio), atol=0.5)
  assert abs(2 * top + height - size) <= 1
  assert abs(2 * left + width - size) <= 1
  inside = np.s_[int(top) : int(top) + height, int(left) : int(left) + width]
  assert np.abs(ours[inside] - opencv(image, height, width)).max() <= 1
  ours[inside] = 114
  assert (ours == 114).all()


@pytest.mark.parametrize("shape", SHAPES[:5])
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_stretch_is_opencv(shape, where):
  image = photograph(*shape)
  ours, info = call(geometry.stretch, image, 64, where)
  assert np.abs(ours.numpy().astype(int) - opencv(image, 64, 64)).max() <= 1
  np.testing.assert_allclose(info, [64 / shape[0], 64 / shape[1], 0, 0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keep_aspect", [True, False])
def test_boxes_go_with_the_pixels(shape, keep_aspect):
  """The corners of the image are those of what is not padding."""
  image = np.full((*shape, 3), 255, np.uint8)
  ours, info = geometry.fitting(keep_aspect)(tf.constant(image), 64)
  ys, xs = np.nonzero((ours.numpy() == 255).all(-1))
  expected = [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]
  boxes = geometry.to_input(tf.constant([[0.0, 0.0, *map(float, shape)]]), info)
  np.testing.assert_allclose(boxes[0], expected, atol=1e-4)


def test_what_counts_as_visible():
  cases = [
    # box, area of the whole, visible
    ((10, 10, 30, 30), 400, True),
    ((-30, 10, 2.0, 30), 640, False),  # Two pixels are too few,
    ((-30, 10, 2.5, 30), 400, True),  # more than that are not.
    ((-90, 10, 10, 30), 2000, False),  # A tenth is too little,
    ((-89, 10, 11, 30), 2000, True),  # more than a tenth is not.
    ((10, 0, 13, 60), 180, False),  # 20 times as long as wide.
    ((10, 0, 13, 59), 177, True),
    ((70, 70, 90, 90), 400, False),  # Outside.
    ((20, 20, 20, 20), 0, False),  # Nothing.
  ]  # fmt: skip
  boxes, areas, visible = zip(*cases, strict=True)
  ours, valid = geometry.clip_visible(
    tf.constant(boxes, tf.float32), tf.ones(len(boxes), tf.bool), tf.constant(areas, tf.float32), 64
  )
  assert valid.numpy().tolist() == list(visible)
  np.testing.assert_array_equal(ours, np.clip(np.float32(boxes), 0, 64))
  none = geometry.clip_visible(ours, tf.zeros(len(boxes), tf.bool), tf.zeros(len(boxes)), 64)[1]
  assert not none.numpy().any()


@pytest.mark.parametrize("room", [1, 3, 4, 6])
def test_pack_moves_valid_boxes_to_the_front(room):
  boxes = np.arange(2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4)
  classes = np.int32([[5, 6, 7, 8], [9, 10, 11, 12]])
  valid = np.array([[False, True, False, True], [True, True, True, False]])
  ours = [each.numpy() for each in geometry.pack(boxes, classes, valid, room)]
  for image in range(2):
    kept = np.nonzero(valid[image])[0][:room]
    count = len(kept)
    np.testing.assert_array_equal(ours[0][image, :count], boxes[image, kept])
    assert ours[1][image].tolist() == classes[image, kept].tolist() + [-1] * (room - count)
    assert ours[2][image].tolist() == [True] * count + [False] * (room - count)
    assert not ours[0][image, count:].any()
