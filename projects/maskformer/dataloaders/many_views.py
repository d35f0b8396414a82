"""The views of an image whose semantic scores are averaged: several sizes, plain and mirrored.

As detectron2's `DatasetMapperTTA`: the image as evaluation feeds it, resized once more to each
size. Each size has its canvas: evaluation's, larger or smaller by as much as the image.
"""

from typing import NamedTuple

import tensorflow as tf

from official.cli.errors import UserError
from projects.maskformer.configs.data import DataConfig
from projects.maskformer.dataloaders import rendering, views

_MULTIPLE = 32  # Canvases are multiples of this, as the original's padding.


class Framed(NamedTuple):
  """An image in the upper left corner of a canvas.

  Attributes:
    image: [h, w, 3] uint8, zero where there is no image.
    padding: [h, w] bool, True on the image.
    shown: height and width [2] int32 of the image.
  """

  image: tf.Tensor
  padding: tf.Tensor
  shown: tf.Tensor


def framed(picture: tf.Tensor, canvas: list[int]) -> Framed:
  """A picture [h, w, 3] uint8 on a canvas of a height and a width that hold it."""
  picture = tf.ensure_shape(picture, [None, None, 3])
  shown = tf.shape(picture)[:2]
  inside = rendering.pad(tf.ones(shown, tf.bool), tuple(canvas), 0)
  return Framed(rendering.pad(picture, tuple(canvas), 0), inside, shown)


def canvases(data: DataConfig) -> list[list[int]]:
  """Height and width of every view's canvas, in the order of `make_views`.

  Raises:
    UserError: `data` has no sizes.
  """
  sizes = data.many_views.min_sizes
  if not sizes or min(sizes) < 1 or data.many_views.max_size < 1:
    raise UserError("many_views: min_sizes and max_size must name sides of at least 1 pixel")
  rooms = [[_scaled(side, size, data.min_sizes[0]) for side in data.output_size] for size in sizes]
  return [room for room in rooms for _ in ("plain", "mirrored")]


def make_views(picture: tf.Tensor, data: DataConfig) -> list[Framed]:
  """The views of an image: of each size the plain one, then its mirror image.

  Args:
    picture: [h, w, 3] uint8, as evaluation feeds it: already resized once.
    data: of the evaluation.
  """
  rooms, made = canvases(data), []
  for size, room in zip(data.many_views.min_sizes, rooms[::2], strict=True):
    shape = views.resized_shape(tf.shape(picture)[:2], size, data.many_views.max_size)
    view = resize(picture, views.fitted(shape, room))
    made += [framed(view, room), framed(tf.reverse(view, [1]), room)]
  return made


def resize(image: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
  """[h, w, 3] uint8 to [2] `shape`, as Pillow's bilinear, but for the rounding of its passes."""
  return tf.cast(tf.image.resize(image, shape, antialias=True) + 0.5, tf.uint8)


def _scaled(side: int, size: int, base: int) -> int:
  return -(-side * size // (base * _MULTIPLE)) * _MULTIPLE
