"""Which anchor at which cell answers for which object: ScaledYOLOv4's rule, with static shapes.

An object belongs to every anchor whose sides are within a factor of it, at the cell of its centre
and, where a centre may leave its cell, at the nearer neighbour along each axis. Every object thus
has anchors × 3 candidate places a level, each with a mask: no boolean_mask, no scatter at −1.
"""

from typing import NamedTuple

import tensorflow as tf

NEIGHBOUR_REACH = 0.5  # A centre nearer to a cell's edge than this also belongs across that edge.


class Assignment(NamedTuple):
  """Candidate places of one level, p = objects · anchors · cells.

  Attributes:
    index: [b, p] int32 into the flattened [h · w · anchors] outputs; 0 where not `mask`.
    mask: [b, p] bool: the place is responsible for the object.
    cells: [b, p, 2] float, column and row.
    anchors: [b, p, 2] float, width and height in cells.
    boxes: [b, p, 4] float xywh in cells.
    classes: [b, p] int32, 0 where not `mask`.
  """

  index: tf.Tensor
  mask: tf.Tensor
  cells: tf.Tensor
  anchors: tf.Tensor
  boxes: tf.Tensor
  classes: tf.Tensor


def assign(
  boxes: tf.Tensor,
  classes: tf.Tensor,
  valid: tf.Tensor,
  anchors: tf.Tensor,
  height: int,
  width: int,
  *,
  ratio_threshold: float,
  neighbours: bool,
) -> Assignment:
  """Assigns padded objects to the places of one level.

  Args:
    boxes: [b, n, 4] xywh in cells of this level.
    classes: [b, n] int32.
    valid: [b, n] bool.
    anchors: [a, 2] width and height in cells.
    height: rows of the grid.
    width: columns of the grid.
    ratio_threshold: an anchor fits while each side is within this factor of the object's.
    neighbours: whether the nearer neighbours answer too.
  """
  ratio = boxes[:, :, None, 2:] / anchors  # [b, n, a, 2]
  # An empty box's ratio is 0, its inverse infinite: it fits nothing.
  fits = tf.reduce_max(tf.maximum(ratio, 1 / ratio), axis=-1) < ratio_threshold
  cells, inside = _cells(boxes[..., :2], height, width, neighbours)  # [b, n, c, 2], [b, n, c]
  mask = fits[:, :, :, None] & (inside & valid[..., None])[:, :, None, :]  # [b, n, a, c]

  count = tf.constant(anchors.shape[0])
  column, row = tf.unstack(tf.cast(cells, tf.int32), axis=-1)
  index = ((row * width + column) * count)[:, :, None, :] + tf.range(count)[None, None, :, None]
  shape = tf.shape(mask)
  spread = lambda x: tf.broadcast_to(x, tf.concat([shape, tf.shape(x)[4:]], 0))  # noqa: E731
  flat = lambda x: tf.reshape(x, tf.concat([shape[:1], [-1], tf.shape(x)[4:]], 0))  # noqa: E731
  places = mask.shape[1] * mask.shape[2] * mask.shape[3]
  return Assignment(
    index=tf.ensure_shape(flat(tf.where(mask, index, 0)), [None, places]),
    mask=flat(mask),
    cells=flat(spread(cells[:, :, None])),
    anchors=flat(spread(anchors[None, None, :, None, :])),
    boxes=flat(spread(boxes[:, :, None, None])),
    classes=flat(tf.where(mask, classes[:, :, None, None], 0)),
  )


def _cells(
  centres: tf.Tensor, height: int, width: int, neighbours: bool
) -> tuple[tf.Tensor, tf.Tensor]:
  """Own cell, then the nearer neighbour along x and y: [b, n, c, 2], and which lie inside."""
  limit = tf.constant([width, height], centres.dtype)
  own = tf.clip_by_value(tf.floor(centres), 0, limit - 1)
  cells = own[:, :, None, :]
  if neighbours:
    step = tf.where(centres - own < NEIGHBOUR_REACH, -1.0, 1.0)
    step = tf.cast(step, centres.dtype)[:, :, None, :] * tf.eye(2, dtype=centres.dtype)
    cells = tf.concat([cells, cells + step], axis=2)
  inside = tf.reduce_all((cells >= 0) & (cells < limit), axis=-1)
  return tf.clip_by_value(cells, 0, limit - 1), inside
