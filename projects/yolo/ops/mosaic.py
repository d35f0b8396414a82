"""Images put together from four others, every output pixel sampled once.

Where Scaled-YOLOv4 resizes four tiles, pastes them on a canvas of twice the input's side, and warps
that, here an upright map goes from each tile straight to its quarter of the output. Only rotation
and shear need the canvas. What differs for it: tiles are not cut off at the canvas's border.

A tile is placed by its corner `origin` and its `extent`, in pixels of the canvas, whose origin is
its centre. Tiles are counted top left, top right, bottom left, bottom right.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from projects.yolo.ops import geometry
from projects.yolo.ops.affine import Affine

Drawer = Callable[[], tf.Tensor]


class Placement(NamedTuple):
  """Where g outputs get their t tiles from, here four, and where these lie.

  Attributes:
    sources: [g, t] int32, indices of images.
    used: [g, t] bool, whether a tile brings its boxes; a plain image is four times the same tile,
      of which one does.
    origin: [g, t, 2] float32, (y, x) of the tile's corner.
    extent: [g, t, 2] float32, (height, width) of the tile.
    centre: [g, 2] float32, where four tiles meet.
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
  """Normalized boxes [images, n, 4] to those of the tiles, [g, t * n, 4], in canvas pixels."""
  tiles = tf.gather(boxes, placement.sources)  # [g, t, n, 4]
  origin, extent = (
    tf.tile(each, [1, 1, 2])[:, :, None] for each in (placement.origin, placement.extent)
  )
  placed = origin + tiles * extent
  return tf.reshape(placed, [tf.shape(tiles)[0], -1, 4])


def render(pictures: Pictures, placement: Placement, affine: Affine, size: int) -> list[tf.Tensor]:
  """What `drawers` draw."""
  return [draw() for draw in drawers(pictures, placement, affine, size)]


def drawers(pictures: Pictures, placement: Placement, affine: Affine, size: int) -> list[Drawer]:
  """What draws each of g outputs by an upright map.

  Args:
    pictures: what tiles are cut from.
    placement: of the tiles of g outputs; g is static.
    affine: g maps from the canvas to the output; only their diagonals count.
    size: side of the outputs in pixels.

  Returns:
    g functions to images [size, size, 3] float32, levels from 0 to 255, `PAD_VALUE` where there is
    no tile.
  """
  scale, shift = upright(affine)
  # A mirror image has its left tiles on the right.
  order = tf.where(scale[:, :, 1] < 0, [[1, 0, 3, 2]], [[0, 1, 2, 3]])
  pick = functools.partial(tf.gather, indices=order, batch_dims=1)
  sources = pick(placement.sources)
  corner = scale * pick(placement.origin) + shift
  extent = scale * pick(placement.extent)
  centre = tf.clip_by_value(tf.round(scale * placement.centre[:, None] + shift), 0.0, float(size))
  start, end = tf.where(_AFTER, centre, 0.0), tf.where(_AFTER, float(size), centre)
  tiles = cut_out(pictures, sources, corner, extent, start, end)
  return [functools.partial(_join, pictures.images, *each, size) for each in per_output(tiles)]


def upright(affine: Affine) -> tuple[tf.Tensor, tf.Tensor]:
  """Scale and shift [g, 1, 2] of g maps that neither turn nor shear."""
  return tf.linalg.diag_part(affine.linear)[:, None], affine.shift[:, None]


def with_border(image: tf.Tensor) -> tf.Tensor:
  """Repeats the outermost pixels of [h, w, 3] once: [1, h + 2, w + 2, 3].

  Half of an outermost pixel lies beyond its centre, where sampling would find nothing.
  """
  image = tf.concat([image[:1], image, image[-1:]], 0)
  return tf.concat([image[:, :1], image, image[:, -1:]], 1)[None]


class Tiles(NamedTuple):
  """What t tiles of g outputs show, each in a rectangle of the output.

  Attributes:
    sources: [g, t] int32, indices of images.
    windows: [g, t, 1, 4] float32 of the image, as CropAndResize has them.
    shown: [g, t, 2] int32: rows and columns that show the tile.
    margins: [g, t, 3, 2] int32: those of the rectangle before and behind it.
  """

  sources: tf.Tensor
  windows: tf.Tensor
  shown: tf.Tensor
  margins: tf.Tensor


# Which quarters lie after the meeting point, in y and in x.
_AFTER = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], bool)
_ROUNDING = 1e-3  # Pixels: tiles that meet in the middle of a pixel leave no gap there.


def cut_out(
  pictures: Pictures,
  sources: tf.Tensor,
  corner: tf.Tensor,
  extent: tf.Tensor,
  start: tf.Tensor,
  end: tf.Tensor,
) -> Tiles:
  """What of its tile each rectangle of the output shows: a pixel shows what its centre shows.

  Args:
    pictures: what tiles are cut from.
    sources: [g, t] int32.
    corner: [g, t, 2] where the tile's first corner lies in the output, in pixels.
    extent: [g, t, 2] of the tile, negative where it is mirrored.
    start: [g, t, 2] of the rectangle, whole pixels.
    end: [g, t, 2] likewise.
  """
  other = corner + extent
  first = tf.math.ceil(tf.minimum(corner, other) - 0.5 - _ROUNDING)
  last = tf.math.ceil(tf.maximum(corner, other) - 0.5 + _ROUNDING)
  first, last = (tf.minimum(tf.maximum(at, start), end) for at in (first, last))
  ends = first + 0.5, first + tf.maximum(last - first, 1.0) - 0.5
  shapes, stored = (tf.gather(each, sources) for each in (pictures.shapes, pictures.stored))
  # In the units of CropAndResize: 0 and 1 are the centres of a tile's first and last border pixel.
  windows = [((at - corner) / extent * shapes + 0.5) / (stored + 1) for at in ends]
  margins = tf.stack([first - start, end - last], -1)
  return Tiles(
    sources,
    tf.concat(windows, -1)[:, :, None],
    tf.cast(last - first, tf.int32),
    tf.cast(tf.pad(margins, [[0, 0], [0, 0], [0, 1], [0, 0]]), tf.int32),
  )


def per_output(tiles: Tiles) -> list[tuple[tf.Tensor, ...]]:
  """The parts of `tiles` of each of g outputs."""
  return list(zip(*map(tf.unstack, tiles), strict=True))


def rectangles(
  images: tf.TensorArray,
  sources: tf.Tensor,
  windows: tf.Tensor,
  shown: tf.Tensor,
  margins: tf.Tensor,
) -> list[tf.Tensor]:
  """The rectangles [h, w, 3] float32 of one output, `PAD_VALUE` around their tiles."""
  rows = zip(*map(tf.unstack, (sources, windows, shown, margins)), strict=True)
  return [_rectangle(images.read(source), *rest) for source, *rest in rows]


def _rectangle(
  image: tf.Tensor, window: tf.Tensor, shown: tf.Tensor, margins: tf.Tensor
) -> tf.Tensor:
  # CropAndResize makes no empty image: it makes a pixel, which is cut away.
  tile = tf.image.crop_and_resize(image, window, [0], tf.maximum(shown, 1))[0]
  tile = tile[: shown[0], : shown[1]]
  return tf.pad(tile, margins, constant_values=geometry.PAD_VALUE)


def _join(images: tf.TensorArray, *tiles_and_size: Any) -> tf.Tensor:
  """One output of its four quarters."""
  *tiles, size = tiles_and_size
  quarters = rectangles(images, *tiles)
  halves = [tf.concat(quarters[i : i + 2], 1) for i in (0, 2)]
  return tf.ensure_shape(tf.concat(halves, 0), [size, size, 3])
