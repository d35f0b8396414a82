"""Images put together from four others, every output pixel sampled once.

Where Scaled-YOLOv4 resizes four tiles, pastes them on a canvas of twice the input's side, and warps
that, here an upright map goes from each tile straight to its quarter of the output. Only rotation
and shear need the canvas. Differences that follow: tiles are not cut off at the canvas's border,
and a tile's outer edge is up to half of its pixel wider.

A tile is placed by its corner `origin` and its `extent`, in pixels of the canvas, whose origin is
its centre. Tiles are counted top left, top right, bottom left, bottom right.
"""

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
  double = lambda values: tf.concat([values, values], -1)[:, :, None]  # noqa: E731
  placed = double(placement.origin) + tiles * double(placement.extent)
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
  scale, shift = tf.linalg.diag_part(affine.linear), affine.shift
  centre = tf.clip_by_value(tf.round(scale * placement.centre + shift), 0.0, float(size))
  counts = tf.where(_AFTER > 0, size - centre[:, None], centre[:, None])  # [g, 4, 2]
  # A mirror image has its left tiles on the right.
  order = tf.where(scale[:, 1:] < 0, [[1, 0, 3, 2]], [[0, 1, 2, 3]])
  pick = lambda values: tf.gather(values, order, batch_dims=1)  # noqa: E731
  sources = pick(placement.sources)
  windows = _windows(
    first=_AFTER * centre[:, None] + 0.5,
    last=_AFTER * centre[:, None] + tf.maximum(counts, 1.0) - 0.5,
    corner=scale[:, None] * pick(placement.origin) + shift[:, None],
    extent=scale[:, None] * pick(placement.extent),
    shape=tf.gather(pictures.shapes, sources),
    stored=tf.gather(pictures.stored, sources),
  )
  return _draw(pictures.images, sources, windows, tf.cast(counts, tf.int32), size)


def with_border(image: tf.Tensor) -> tf.Tensor:
  """Repeats the outermost pixels of [h, w, 3] once: [1, h + 2, w + 2, 3].

  Half of a border pixel lies beyond its centre, where sampling would find nothing.
  """
  image = tf.concat([image[:1], image, image[-1:]], 0)
  return tf.concat([image[:, :1], image, image[:, -1:]], 1)[None]


# Which quarters lie after the meeting point, in y and in x.
_AFTER = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])


def _windows(
  first: tf.Tensor,
  last: tf.Tensor,
  corner: tf.Tensor,
  extent: tf.Tensor,
  shape: tf.Tensor,
  stored: tf.Tensor,
) -> tf.Tensor:
  """What quarters show of their bordered tiles, in the units of CropAndResize.

  Args, all [g, 4, 2] float32: centres of the first and the last pixel of the quarter, corner and
  extent of the tile, all in the output; `shape` and `stored` as in `Pictures`.

  Returns:
    [g, 4, 4] float32, yxyx; 0 and 1 are the centres of the first and the last pixel of the border.
  """
  ends = [((at - corner) / extent * shape + 0.5) / (stored + 1) for at in (first, last)]
  return tf.concat(ends, -1)


def _draw(
  images: tf.TensorArray, sources: tf.Tensor, windows: tf.Tensor, counts: tf.Tensor, size: int
) -> list[tf.Tensor]:
  """Cuts windows [g, 4, 4] out of sources [g, 4], `counts` [g, 4, 2] pixels large; joins them."""
  groups = sources.shape[0]
  sources = tf.unstack(tf.reshape(sources, [groups * 4]))
  windows = tf.unstack(tf.reshape(windows, [groups * 4, 1, 4]))
  # CropAndResize makes no empty image: it makes a pixel, which is cut away.
  crops = tf.unstack(tf.reshape(tf.maximum(counts, 1), [groups * 4, 2]))
  channels = tf.fill([groups, 4, 1], 3)
  counts = tf.unstack(tf.reshape(tf.concat([counts, channels], -1), [groups * 4, 3]))
  quarters = [
    tf.slice(_cut(images.read(source), window, crop)[0], [0, 0, 0], count)
    for source, window, crop, count in zip(sources, windows, crops, counts, strict=True)
  ]
  rows = [tf.concat(quarters[i : i + 2], 1) for i in range(0, groups * 4, 2)]
  joined = [tf.concat(rows[i : i + 2], 0) for i in range(0, groups * 2, 2)]
  return [tf.ensure_shape(image, [size, size, 3]) for image in joined]


def _cut(image: tf.Tensor, window: tf.Tensor, crop: tf.Tensor) -> tf.Tensor:
  return tf.image.crop_and_resize(image, window, [0], crop, extrapolation_value=geometry.PAD_VALUE)
