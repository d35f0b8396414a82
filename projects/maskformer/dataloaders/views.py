"""Which part of an image the network sees, and at what size.

A view is a window of whole source pixels and the size at which it is shown. The original resizes,
cuts a window of whole resized pixels, and (COCO) resizes again. Here the window is rounded to
source pixels, by half of one at most; then pixels that are cut away are never decoded, every
pixel is sampled once, and image and segments are cut alike.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf


class View(NamedTuple):
  """Sizes and positions are (y, x), [2] int32.

  Attributes:
    start: first row and column of the window, in source pixels.
    size: height and width of the window, in source pixels.
    output: height and width at which it is shown, in input pixels.
  """

  start: tf.Tensor
  size: tf.Tensor
  output: tf.Tensor


def resized_shape(shape: tf.Tensor, shortest: tf.Tensor, longest: int) -> tf.Tensor:
  """The size with a given shortest side, unless the longest would exceed `longest`.

  As detectron2's ResizeShortestEdge, to the pixel: in double precision, halves rounded up.

  Args:
    shape: [2] int32.
    shortest: () int32.
    longest: in pixels.

  Returns:
    [2] int32.
  """
  sides = tf.cast(shape, tf.float64)
  shortest = tf.cast(shortest, tf.float64)
  scaled = tf.where(
    sides == tf.reduce_min(sides), shortest, shortest / tf.reduce_min(sides) * sides
  )
  excess = tf.reduce_max(scaled)
  scaled = tf.where(excess > longest, scaled * (longest / excess), scaled)
  return tf.cast(scaled + 0.5, tf.int32)


def whole(shape: tf.Tensor, shown: tf.Tensor, room: Sequence[int]) -> View:
  """All of an image [2], shown at the size `shown` [2], or as large as there is room for."""
  return View(tf.zeros(2, tf.int32), shape, fitted(shown, room))


def window(
  shape: tf.Tensor, resized: tf.Tensor, size: tf.Tensor, position: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """A window of the resized image, in pixels of the source.

  Args:
    shape: of the source, [2] int32.
    resized: its size after resizing, [2] int32.
    size: of the window in the resized image, [2] int32, no larger than that.
    position: [2] float32 in [0, 1), where it lies among all possible positions.

  Returns:
    start and size, [2] int32 each, at least one pixel and within the source.
  """
  start = tf.cast(position * tf.cast(resized - size + 1, tf.float32), tf.int32)
  ratio = tf.cast(shape, tf.float64) / tf.cast(resized, tf.float64)
  first, last = (
    tf.cast(tf.round(tf.cast(at, tf.float64) * ratio), tf.int32) for at in (start, start + size)
  )
  first = tf.minimum(first, shape - 1)
  return first, tf.maximum(last - first, 1)


def fitted(shown: tf.Tensor, room: Sequence[int]) -> tf.Tensor:
  """`shown` [2], or where there is no room for it, the largest size of that aspect; at least 1."""
  sides = tf.cast(shown, tf.float64)
  ratio = tf.minimum(tf.reduce_min(tf.constant(room, tf.float64) / sides), 1.0)
  return tf.maximum(tf.cast(tf.round(sides * ratio), tf.int32), 1)


def aligned(view: View, shape: tf.Tensor, ratio: tf.Tensor) -> View:
  """The view with its window on whole blocks of `ratio` x `ratio` pixels; () int32.

  A JPEG can be shrunk by 2, 4 or 8 while it is decoded; then windows begin and end on blocks. No
  side of the image, [2] int32, may be smaller than a block.
  """
  blocks, half = shape // ratio, ratio // 2
  first = tf.minimum((view.start + half) // ratio, blocks - 1)
  last = tf.minimum((view.start + view.size + half) // ratio, blocks)
  return View(first * ratio, tf.maximum(last - first, 1) * ratio, view.output)
