"""Images put together from nine others, as YOLOv7's (`load_mosaic9`).

One tile lies in the middle, and eight around it, clockwise from the one above; each touches the one
before, and where tiles differ in size, later ones lie on top or leave gaps. The canvas of four
tiles is a window of this at random.
"""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from projects.yolo.ops import geometry, mosaic
from projects.yolo.ops.affine import Affine
from projects.yolo.ops.mosaic import Drawer, Pictures, Placement


def place(
  sources: tf.Tensor, extent: tf.Tensor, offset: tf.Tensor, is_nine: tf.Tensor
) -> Placement:
  """Lays eight tiles around the first.

  Args:
    sources: [g, 9] int32, indices of images.
    extent: [g, 9, 2] float32, height and width of the tiles in canvas pixels.
    offset: [g, 2] float32, where the canvas's centre lies in the middle tile, from its corner.
    is_nine: [g] bool, False where the tiles bring no boxes.
  """
  (h0, h1, h2, h3, _, _, _, h7, h8), widths = (tf.unstack(extent[..., i], axis=1) for i in (0, 1))
  w0, w1, _, _, _, w5, w6, w7, w8 = widths
  zero = tf.zeros_like(h0)
  corners = [
    (zero, zero),
    (-h1, zero),
    (-h2, w1),
    (zero, w0),
    (h3, w0),
    (h0, w0 - w5),
    (h0, w0 - w5 - w6),
    (h0 - h7, -w7),
    (h0 - h7 - h8, -w8),
  ]
  return Placement(
    sources=sources,
    used=tf.repeat(is_nine[:, None], 9, 1),
    origin=tf.stack([tf.stack(corner, -1) for corner in corners], 1) - offset[:, None],
    extent=extent,
    centre=-offset,
  )


def drawers(pictures: Pictures, placement: Placement, affine: Affine, size: int) -> list[Drawer]:
  """As `mosaic.drawers`, of nine tiles."""
  scale, shift = mosaic.upright(affine)
  corner, extent = scale * placement.origin + shift, scale * placement.extent
  start = tf.zeros_like(corner)
  tiles = mosaic.cut_out(pictures, placement.sources, corner, extent, start, start + float(size))
  each = mosaic.per_output(tiles)
  return [functools.partial(_overlay, pictures.images, *one, size) for one in each]


def _overlay(images: tf.TensorArray, *tiles_and_size: Any) -> tf.Tensor:
  """One output: each tile over those before it."""
  *tiles, size = tiles_and_size
  shown, before = tiles[2], tiles[3][:, :2, 0]
  at = np.arange(size)
  inside = [
    (at >= before[:, axis, None]) & (at < (before + shown)[:, axis, None]) for axis in (0, 1)
  ]
  output = tf.fill([size, size, 3], float(geometry.PAD_VALUE))
  for index, rectangle in enumerate(mosaic.rectangles(images, *tiles)):
    there = inside[0][index][:, None, None] & inside[1][index][:, None]
    output = tf.where(there, rectangle, output)
  return tf.ensure_shape(output, [size, size, 3])
