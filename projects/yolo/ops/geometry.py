"""Where pixels and boxes go: the square network input, and which boxes survive a cut.

`image_info`, [4] float32, is (scale_y, scale_x, offset_y, offset_x):
input pixel = original pixel * scale + offset. Coordinates are those of pixel edges: the first pixel
spans 0 to 1.
"""

from collections.abc import Callable

import tensorflow as tf

PAD_VALUE = 114  # Grey wherever there is no image, in training and in serving alike.

# What counts as visible after a cut, as in Scaled-YOLOv4: sides in pixels, share of the area that
# is left, ratio of the longer to the shorter side.
_MIN_SIDE = 2.0
_MIN_AREA_LEFT = 0.1
_MAX_ASPECT = 20.0


def letterbox(image: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Fits an image into a square: aspect ratio kept, centred, the rest `PAD_VALUE`.

  Shrinks by area averaging and enlarges bilinearly, as the original does (OpenCV's INTER_AREA and
  INTER_LINEAR).

  Args:
    image: [h, w, 3] uint8.
    size: side of the square in pixels.

  Returns:
    the image [size, size, 3] uint8, and `image_info` [4] float32.
  """
  shape = tf.shape(image)[:2]
  ratio = size / tf.cast(tf.reduce_max(shape), tf.float32)
  # A sliver keeps at least one pixel.
  fitted = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float32) * ratio), tf.int32), 1)
  before = (size - fitted) // 2
  after = size - fitted - before
  margins = [[before[0], after[0]], [before[1], after[1]], [0, 0]]
  padded = tf.pad(_resize(image, fitted), margins, constant_values=PAD_VALUE)
  scale = tf.cast(fitted, tf.float32) / tf.cast(shape, tf.float32)
  info = tf.concat([scale, tf.cast(before, tf.float32)], 0)
  return tf.ensure_shape(padded, [size, size, 3]), info


def stretch(image: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Resizes an image to a square, whatever its aspect ratio; otherwise as `letterbox`."""
  shape = tf.cast(tf.shape(image)[:2], tf.float32)
  resized = tf.ensure_shape(_resize(image, tf.constant([size, size])), [size, size, 3])
  return resized, tf.concat([size / shape, tf.zeros(2)], 0)


def fitting(keep_aspect: bool) -> Callable[[tf.Tensor, int], tuple[tf.Tensor, tf.Tensor]]:
  """`letterbox`, or `stretch` where the aspect ratio need not be kept."""
  return letterbox if keep_aspect else stretch


def to_input(boxes: tf.Tensor, image_info: tf.Tensor) -> tf.Tensor:
  """Moves boxes [..., n, 4] in original pixels, yxyx, to input pixels; info [..., 4]."""
  scale, offset = tf.split(image_info[..., None, :], 2, axis=-1)
  return boxes * tf.concat([scale, scale], -1) + tf.concat([offset, offset], -1)


def clip_visible(
  boxes: tf.Tensor, valid: tf.Tensor, area: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
  """Clips boxes to the input, and drops those of which too little is left.

  What is left must be more than 2 pixels high and wide, more than a tenth of the area, and not more
  than 20 times as long as wide (as Scaled-YOLOv4's box_candidates).

  Args:
    boxes: [..., n, 4] float32, yxyx in input pixels.
    valid: [..., n] bool.
    area: [..., n] float32, of the whole objects, in square input pixels.
    size: side of the input.

  Returns:
    the clipped boxes, and which of them count.
  """
  clipped = tf.clip_by_value(boxes, 0.0, float(size))
  sides = clipped[..., 2:] - clipped[..., :2]
  short, long = tf.reduce_min(sides, -1), tf.reduce_max(sides, -1)
  visible = (short > _MIN_SIDE) & (long < _MAX_ASPECT * short)
  return clipped, valid & visible & (short * long > _MIN_AREA_LEFT * area)


def pack(
  boxes: tf.Tensor, classes: tf.Tensor, valid: tf.Tensor, room: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Moves the valid boxes to the front, in their order; drops those beyond `room`.

  Args:
    boxes: [g, n, 4] float32.
    classes: [g, n] int32.
    valid: [g, n] bool.
    room: how many boxes are returned.

  Returns:
    boxes [g, room, 4], classes [g, room] and valid [g, room]; zeros and class -1 where not valid.
  """
  margins = [[0, 0], [0, tf.maximum(room - tf.shape(valid)[1], 0)]]
  boxes, classes = tf.pad(boxes, [*margins, [0, 0]]), tf.pad(classes, margins)
  ranks, order = tf.math.top_k(tf.cast(tf.pad(valid, margins), tf.int32), room)
  kept = ranks > 0
  boxes, classes = (tf.gather(values, order, batch_dims=1) for values in (boxes, classes))
  return tf.where(kept[..., None], boxes, 0.0), tf.where(kept, classes, -1), kept


def _resize(image: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
  shrinks = tf.reduce_all(shape < tf.shape(image)[:2])
  resized = tf.cond(
    shrinks,
    lambda: tf.image.resize(image, shape, tf.image.ResizeMethod.AREA),
    lambda: tf.image.resize(image, shape, tf.image.ResizeMethod.BILINEAR),
  )
  return tf.cast(tf.round(resized), tf.uint8)
