"""Images put together from four others, every output pixel sampled once.

Where Scaled-YOLOv4 resizes four tiles, pastes them on a canvas of twice the input's side, and warps
that, here an upright map goes from each tile straight to its quarter of the output. Only rotation
and shear need the canvas. What differs for it: tiles are not cut off at the canvas's border.

A tile is placed by its corner `origin` and its `extent`, in pixels of the canvas, whose origin is
its centre. Tiles are counted top left, top right, bottom left, bottom right.
"""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from projects.yolo.ops import geometry
from projects.yolo.ops.affine import Affine


class Placement(NamedTuple):
  """Where g outputs get their four tiles from, and where these lie.

  Attributes:
    sources: [g, 4] int32, indices of images.
    used: [g, 4] bool, whether a tile brings its boxes; a plain image is four times the same tile,
      of which one does.
    origin: [g, 4, 2] float32, (y, x) of the tile's corner.
    extent: [g, 4, 2] float32, (height, width) of the tile.
    centre: [g, 2] float32, where the four tiles meet.
  """

  sources: tf.Tensor
  used: tf.Tensor
  origin: tf.Tensor
  extent: tf.Tensor
  centre: tf.Tensor


class Pictures(NamedTuple):
  """What tiles are cut from.

  Attributes:
    images: of [1, h + 2, w + 2, 3] uint8, see `with_border`.
    stored: [n, 2] float32, (h, w).
    shapes: [n, 2] float32, the same before rounding up, where an image was shrunk.
  """

  images: tf.TensorArray
  stored: tf.Tensor
  shapes: tf.Tensor


def place(
  sources: tf.Tensor, extent: tf.Tensor, centre: tf.Tensor, is_mosaic: tf.Tensor
) -> Placement:
  """Lays four tiles around a point, or the first alone around the canvas's centre.

  Args:
    sources: [g, 4] int32, indices of images.
    extent: [g, 4, 2] float32, height and width of the tiles in canvas pixels.
    centre: [g, 2] float32, where tiles meet, relative to the canvas's centre.
    is_mosaic: [g] bool, False for a plain image.
  """
  before = tf.constant([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
  whole = is_mosaic[:, None]
  alone = tf.repeat(extent[:, :1], 4, 1)
  return Placement(
    sources=tf.where(whole, sources, sources[:, :1]),
    used=whole | tf.constant([True, False, False, False]),
    origin=tf.where(whole[..., None], centre[:, None] - before * extent, -alone / 2),
    extent=tf.where(whole[..., None], extent, alone),
    centre=centre,
  )


def place_boxes(placement: Placement, boxes: tf.Tensor) -> tf.Tensor:
  """Normalized boxes [images, n, 4] to those of the tiles, [g, 4 * n, 4], in canvas pixels."""
  tiles = tf.gather(boxes, placement.sources)  # [g, 4, n, 4]
  origin, extent = (
    tf.tile(each, [1, 1, 2])[:, :, None] for each in (placement.origin, placement.extent)
  )
  placed = origin + tiles * extent
  return tf.reshape(placed, [tf.shape(tiles)[0], -1, 4])


def render(pictures: Pictures, placement: Placement, affine: Affine, size: int) -> list[tf.Tensor]:
  """Draws g outputs by upright maps.

  Args:
    pictures: what tiles are cut from.
    placement: of the tiles of g outputs; g is static.
    affine: g maps from the canvas to the output; only their diagonals count.
    size: side of the outputs in pixels.

  Returns:
    g images [size, size, 3] float32, levels from 0 to 255, `PAD_VALUE` where there is no tile.
  """
  scale, shift = tf.linalg.diag_part(affine.linear)[:, None], affine.shift[:, None]
  # A mirror image has its left tiles on the right.
  order = tf.where(scale[:, :, 1] < 0, [[1, 0, 3, 2]], [[0, 1, 2, 3]])
  pick = functools.partial(tf.gather, indices=order, batch_dims=1)
  sources = pick(placement.sources)
  corner = scale * pick(placement.origin) + shift
  extent = scale * pick(placement.extent)
  quarters = _split(scale * placement.centre[:, None] + shift, corner, corner + extent, size)
  start = quarters.start + quarters.before
  ends = start + 0.5, start + tf.maximum(quarters.shown, 1.0) - 0.5
  shapes, stored = (tf.gather(each, sources) for each in (pictures.shapes, pictures.stored))
  # In the units of CropAndResize: 0 and 1 are the centres of a tile's first and last border pixel.
  windows = [((at - corner) / extent * shapes + 0.5) / (stored + 1) for at in ends]
  return _draw(pictures.images, sources, tf.concat(windows, -1), quarters, size)


def with_border(image: tf.Tensor) -> tf.Tensor:
  """Repeats the outermost pixels of [h, w, 3] once: [1, h + 2, w + 2, 3].

  Half of an outermost pixel lies beyond its centre, where sampling would find nothing.
  """
  image = tf.concat([image[:1], image, image[-1:]], 0)
  return tf.concat([image[:, :1], image, image[:, -1:]], 1)[None]


class _Quarters(NamedTuple):
  """Spans of pixels, each [g, 4, 2] float32: where a quarter starts, and then how many of its rows
  and columns come before the tile, show the tile, and come after it."""

  start: tf.Tensor
  before: tf.Tensor
  shown: tf.Tensor
  after: tf.Tensor


# Which quarters lie after the meeting point, in y and in x.
_AFTER = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], bool)
_ROUNDING = 1e-3  # Pixels: tiles that meet in the middle of a pixel leave no gap there.


def _split(centre: tf.Tensor, one: tf.Tensor, other: tf.Tensor, size: int) -> _Quarters:
  """Splits outputs at `centre` [g, 1, 2]; `one` and `other`, [g, 4, 2], are corners of the tiles.

  A pixel shows what its centre shows.
  """
  centre = tf.clip_by_value(tf.round(centre), 0.0, float(size))
  start, end = tf.where(_AFTER, centre, 0.0), tf.where(_AFTER, float(size), centre)
  first = tf.math.ceil(tf.minimum(one, other) - 0.5 - _ROUNDING)
  last = tf.math.ceil(tf.maximum(one, other) - 0.5 + _ROUNDING)
  first, last = (tf.minimum(tf.maximum(at, start), end) for at in (first, last))
  return _Quarters(start, first - start, last - first, end - last)


def _draw(
  images: tf.TensorArray, sources: tf.Tensor, windows: tf.Tensor, quarters: _Quarters, size: int
) -> list[tf.Tensor]:
  """Cuts windows [g, 4, 4] out of sources [g, 4] and joins them."""
  tiles = 4 * sources.shape[0]
  margins = tf.pad(
    tf.stack([quarters.before, quarters.after], -1), [[0, 0], [0, 0], [0, 1], [0, 0]]
  )
  shown = tf.cast(tf.reshape(quarters.shown, [tiles, 2]), tf.int32)
  columns = (
    tf.reshape(sources, [tiles]),
    tf.reshape(windows, [tiles, 1, 4]),
    shown,
    tf.cast(tf.reshape(margins, [tiles, 3, 2]), tf.int32),
  )
  rows = zip(*map(tf.unstack, columns), strict=True)
  parts = [_quarter(images.read(source), *rest) for source, *rest in rows]
  halves = [tf.concat(parts[i : i + 2], 1) for i in range(0, tiles, 2)]
  joined = [tf.concat(halves[i : i + 2], 0) for i in range(0, tiles // 2, 2)]
  return [tf.ensure_shape(image, [size, size, 3]) for image in joined]


def _quarter(
  image: tf.Tensor, window: tf.Tensor, shown: tf.Tensor, margins: tf.Tensor
) -> tf.Tensor:
  # CropAndResize makes no empty image: it makes a pixel, which is cut away.
  tile = tf.image.crop_and_resize(image, window, [0], tf.maximum(shown, 1))[0]
  tile = tile[: shown[0], : shown[1]]
  return tf.pad(tile, margins, constant_values=geometry.PAD_VALUE)
