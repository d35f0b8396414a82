"""Which anchor at which cell answers for which object: ScaledYOLOv4's and YOLOv7's rules.

An object belongs to every anchor whose sides are within a factor of it, at the cell of its centre
and at some of those around: in `assign`, where a centre may leave its cell, at the nearer neighbour
along each axis; in `assign_v7` at every neighbour within reach. So every object has anchors × 3 (5)
candidate places a level, each with a mask: static shapes, no boolean_mask, no scatter at −1.
"""

from typing import NamedTuple

import tensorflow as tf

from projects.yolo.ops.boxes import yxyx_to_xywh

NEIGHBOUR_REACH = 0.5  # A centre nearer to a cell's edge than this also belongs across that edge.


class Assignment(NamedTuple):
  """Candidate places of one level, p = cells · anchors · objects, objects fastest.

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
  cells, inside = _cells(boxes[..., :2], height, width, neighbours)
  fits = _fits(boxes, anchors, ratio_threshold) & valid[..., None]
  return _places(boxes, classes, anchors, fits, cells, inside, width)


def assign_v7(
  boxes: tf.Tensor,
  classes: tf.Tensor,
  valid: tf.Tensor,
  anchors: tf.Tensor,
  height: int,
  width: int,
  *,
  ratio_threshold: float,
  reach: float,
) -> Assignment:
  """Assigns padded objects to the places of one level as YOLOv7 does, whatever the centre.

  The five cells are the centre's own and those left, above, right and below. Places stand in the
  order of the original's lists, which decides between equal costs. A centre exactly on a border
  between cells has its own cell twice at reach 0.5, as in the original.

  Args:
    boxes: [b, n, 4] xywh in cells of this level.
    classes: [b, n] int32.
    valid: [b, n] bool.
    anchors: [a, 2] width and height in cells.
    height: rows of the grid.
    width: columns of the grid.
    ratio_threshold: an anchor fits while each side is within this factor of the object's.
    reach: a cell answers while the centre is nearer to its edge than this: 0.5, or 1 for all four.
  """
  cells, inside = _cells_within(boxes[..., :2], height, width, reach)
  fits = _fits(boxes, anchors, ratio_threshold) & valid[..., None]
  return _places(boxes, classes, anchors, fits, cells, inside, width)


def boxes_in_cells(boxes: tf.Tensor, height: int, width: int, dtype: tf.DType) -> tf.Tensor:
  """Boxes [..., 4] yxyx in 0..1 of the input → xywh in cells of a grid."""
  return yxyx_to_xywh(tf.cast(boxes, dtype)) * tf.constant([width, height, width, height], dtype)


def _fits(boxes: tf.Tensor, anchors: tf.Tensor, ratio_threshold: float) -> tf.Tensor:
  ratio = boxes[:, :, None, 2:] / anchors  # [b, n, a, 2]
  # An empty box's ratio is 0, its inverse infinite: it fits nothing.
  return tf.reduce_max(tf.maximum(ratio, 1 / ratio), axis=-1) < ratio_threshold


def _places(
  boxes: tf.Tensor,
  classes: tf.Tensor,
  anchors: tf.Tensor,
  fits: tf.Tensor,
  cells: tf.Tensor,
  inside: tf.Tensor,
  width: int,
) -> Assignment:
  """Every cell [b, n, c, 2] with every anchor, masked by `fits` [b, n, a], `inside` [b, n, c]."""
  cells = tf.transpose(cells, [0, 2, 1, 3])[:, :, None]  # [b, c, 1, n, 2]
  mask = tf.transpose(inside, [0, 2, 1])[:, :, None] & tf.transpose(fits, [0, 2, 1])[:, None]
  count = tf.constant(anchors.shape[0])
  column, row = tf.unstack(tf.cast(cells, tf.int32), axis=-1)
  index = (row * width + column) * count + tf.range(count)[:, None]  # [b, c, a, n]
  shape = tf.shape(mask)
  spread = lambda x: tf.broadcast_to(x, tf.concat([shape, tf.shape(x)[4:]], 0))  # noqa: E731
  flat = lambda x: tf.reshape(x, tf.concat([shape[:1], [-1], tf.shape(x)[4:]], 0))  # noqa: E731
  places = mask.shape[1] * mask.shape[2] * mask.shape[3]
  return Assignment(
    index=tf.ensure_shape(flat(tf.where(mask, index, 0)), [None, places]),
    mask=flat(mask),
    cells=flat(spread(cells)),
    anchors=flat(spread(anchors[None, None, :, None, :])),
    boxes=flat(spread(boxes[:, None, None])),
    classes=flat(tf.where(mask, classes[:, None, None], 0)),
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


def _cells_within(
  centres: tf.Tensor, height: int, width: int, reach: float
) -> tuple[tf.Tensor, tf.Tensor]:
  """Own cell, left, above, right, below: [b, n, 5, 2], and which are within reach: [b, n, 5]."""
  limit = tf.constant([width, height], centres.dtype)
  before = (centres % 1 < reach) & (centres > 1)
  after = ((limit - centres) % 1 < reach) & (limit - centres > 1)
  within = tf.concat([tf.ones_like(before[..., :1]), before, after], axis=-1)
  step = tf.constant([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]], centres.dtype) * reach
  cells = tf.floor(centres[:, :, None] + step)
  return tf.clip_by_value(cells, 0, limit - 1), within
