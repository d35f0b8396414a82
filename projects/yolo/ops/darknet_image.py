"""Images as Darknet gives them to a network: its own resizing, in its own float32 arithmetic.

Corners are aligned: the first and the last pixel stay where they are. Fractions of pixels are
computed in float32, as in `resize_image` of Darknet's `image.c`, with what follows from it: where
the last row's position rounds down, that row comes out dark.

Graphs replace a division by a constant by a product, which rounds otherwise. So that eager mode and
graphs agree bit for bit, the two divisions here are a table and a quotient in float64.
"""

import numpy as np
import tensorflow as tf

_LEVELS = (np.arange(256) / 255).astype(np.float32)
_GREY = 0.5  # Where a letterbox has no image.

Fitted = tuple[tf.Tensor, tf.Tensor]


def stretch(image: tf.Tensor, height: int, width: int) -> Fitted:
  """Resizes an image to the network's input, whatever its aspect ratio.

  Args:
    image: [h, w, 3] uint8.
    height: of the input, in pixels.
    width: of the input, in pixels.

  Returns:
    the input [height, width, 3] float32 in 0..1, and `image_info` [4] float32 (`ops.geometry`).
  """
  scale = tf.constant([height, width], tf.float32) / tf.cast(tf.shape(image)[:2], tf.float32)
  resized = tf.ensure_shape(_resize(image, height, width), [height, width, 3])
  return resized, tf.concat([scale, tf.zeros(2)], 0)


def letterbox(image: tf.Tensor, height: int, width: int) -> Fitted:
  """Fits an image into the network's input, keeping its aspect ratio; as `stretch` otherwise."""
  rows, columns = tf.unstack(tf.shape(image)[:2])
  wide = width / tf.cast(columns, tf.float32) < height / tf.cast(rows, tf.float32)
  fitted_height = tf.maximum(tf.where(wide, rows * width // columns, height), 1)
  fitted_width = tf.maximum(tf.where(wide, width, columns * height // rows), 1)
  fitted, shape = tf.stack([fitted_height, fitted_width]), tf.stack([rows, columns])
  margins = tf.constant([height, width]) - fitted
  before = margins // 2
  padding = tf.stack([before, margins - before], axis=1)
  resized = _resize(image, fitted_height, fitted_width)
  padded = tf.pad(resized, tf.concat([padding, [[0, 0]]], 0), constant_values=_GREY)
  scale = tf.cast(fitted, tf.float32) / tf.cast(shape, tf.float32)
  # Darknet puts the image at whole pixels, but takes half pixels off its boxes.
  info = tf.concat([scale, tf.cast(margins, tf.float32) / 2], 0)
  return tf.ensure_shape(padded, [height, width, 3]), info


def _resize(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
  """Bilinear, columns first: [h, w, 3] uint8 → [height, width, 3] float32 in 0..1."""
  pixels = tf.gather(tf.constant(_LEVELS), tf.cast(image, tf.int32))
  rows, columns = tf.unstack(tf.shape(image)[:2])
  left, share, last = _positions(columns, width)
  left, share = tf.where(last, columns - 1, left), tf.where(last, 0.0, share)[None, :, None]
  right = tf.minimum(left + 1, columns - 1)
  across = (1 - share) * tf.gather(pixels, left, axis=1)
  across += share * tf.gather(pixels, right, axis=1)
  upper, share, last = _positions(rows, height)
  lower = tf.minimum(upper + 1, rows - 1)
  down = (1 - share)[:, None, None] * tf.gather(across, upper)
  return down + tf.where(last, 0.0, share)[:, None, None] * tf.gather(across, lower)


def _positions(
  source: tf.Tensor, target: int | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Where `target` pixels lie among `source` pixels: [target] each.

  Returns:
    the pixel before, the share of the pixel behind it, and whether it is the last of all.
  """
  step = tf.cast(source - 1, tf.float64) / tf.cast(tf.maximum(target - 1, 1), tf.float64)
  places = tf.cast(tf.range(target), tf.float32) * tf.cast(step, tf.float32)
  before = tf.cast(places, tf.int32)
  return before, places - tf.cast(before, tf.float32), tf.range(target) == target - 1
