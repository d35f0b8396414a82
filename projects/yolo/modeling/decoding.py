"""From raw outputs to boxes: x, y, w, h of each anchor in pixels of the network's input.

Two forms are in use (AlexeyAB's Darknet, `yolo_layer.c`):
- exponential (v3, v4): centre σ(t) · s − (s − 1) / 2 inside its cell, size anchor · exp(t);
- scaled (`new_coords`: v4-csp and after): the same centre with s = 2, size anchor · (2σ(t))², which
  is bounded by four anchors.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from projects.yolo.modeling.variant import Anchors

_MAX_EXPONENT = 10.0  # exp(10) anchors: far beyond any image, and finite in float32 when squared.


def _exponential(t: tf.Tensor) -> tf.Tensor:
  return tf.exp(tf.minimum(t, tf.constant(_MAX_EXPONENT, t.dtype)))


def _scaled(t: tf.Tensor) -> tf.Tensor:
  return tf.square(2 * tf.sigmoid(t))


DECODERS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
  "exponential": _exponential,
  "scaled": _scaled,
}


@dataclasses.dataclass(frozen=True)
class Coordinates:
  """How a network's outputs become boxes.

  Attributes:
    form: a key of `DECODERS`.
    scale_xy: how far a centre may leave its cell, by level, see `Variant`.
    anchors: width and height in pixels of the input, by level.
  """

  form: str
  scale_xy: dict[int, float]
  anchors: dict[int, Anchors]


def decode_xywh(
  raw: tf.Tensor, cells: tf.Tensor, anchors: tf.Tensor, form: str, reach: float
) -> tf.Tensor:
  """Boxes in units of cells.

  Args:
    raw: [..., 4] outputs tx, ty, tw, th.
    cells: [..., 2] column and row of the cell, broadcastable.
    anchors: [..., 2] width and height in cells, broadcastable.
    form: a key of `DECODERS`.
    reach: how far a centre may leave its cell, 1 for not at all.

  Returns:
    [..., 4] x, y, w, h.
  """
  centre = tf.sigmoid(raw[..., :2]) * reach - (reach - 1) / 2 + cells
  return tf.concat([centre, DECODERS[form](raw[..., 2:4]) * anchors], axis=-1)


def grid(height: int | tf.Tensor, width: int | tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  """Column and row of each cell: [h, w, 1, 2]."""
  columns, rows = tf.meshgrid(tf.range(width), tf.range(height))
  return tf.cast(tf.stack([columns, rows], axis=-1)[:, :, None, :], dtype)


def decode_level(
  raw: tf.Tensor, level: int, coordinates: Coordinates
) -> tuple[tf.Tensor, tf.Tensor]:
  """Boxes and scores of one level.

  Args:
    raw: [b, h, w, a, 5 + classes].
    level: the grid's stride is 2 to this power, in pixels.
    coordinates: of the network.

  Returns:
    xywh [b, h · w · a, 4] in pixels, scores [b, h · w · a, classes] = objectness · class, in 0..1.
  """
  shape = tf.shape(raw)
  count = (raw.shape[1] or shape[1]) * (raw.shape[2] or shape[2]) * raw.shape[3]
  anchors = tf.constant(coordinates.anchors[level], raw.dtype) / 2**level
  cells, reach = grid(shape[1], shape[2], raw.dtype), coordinates.scale_xy[level]
  boxes = decode_xywh(raw, cells, anchors, coordinates.form, reach)
  scores = tf.sigmoid(raw[..., 4:5]) * tf.sigmoid(raw[..., 5:])
  return (
    tf.reshape(boxes * 2**level, [-1, count, 4]),
    tf.reshape(scores, [-1, count, raw.shape[-1] - 5]),
  )
