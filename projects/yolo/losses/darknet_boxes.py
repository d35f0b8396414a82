"""Darknet's loss of one box, with the gradient that Darknet takes for its derivative.

Source: AlexeyAB's Darknet, `delta_yolo_box` and `dx_box_iou`. A box is tx, ty, tw, th of a place;
its centre is σ(t) · s − (s − 1) / 2 in its cell, its size anchor · exp(t), both divided by the
input's.

What Darknet hands back is not the derivative:
- σ is left out: the gradient of the centre in its cell is handed to tx, ty as it is;
- of CIoU, the centre's gradient is per unit of the input, not of a cell; the size's is not halved
  from corners to sides, goes the other way in the distance's term, and is multiplied by exp(t), not
  by the anchor;
- where boxes do not meet, only distance and shape count;
- what is not finite becomes 0, and components beyond `largest` are cut.
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from projects.yolo.modeling.decoding import decode_xywh
from projects.yolo.ops.boxes import ciou, xywh_to_yxyx

_TINY = 1e-6  # Darknet's, in the quotient of CIoU's α.


@dataclasses.dataclass(frozen=True)
class Place:
  """Where boxes are predicted, and what they should be; leading axes are broadcastable.

  Attributes:
    cells: [..., 2] column and row.
    anchors: [..., 2] width and height in cells.
    truth: [..., 4] xywh in cells.
    grid: [2] width and height of the level, in cells.
    reach: s, how far a centre may leave its cell, 1 for not at all.
  """

  cells: tf.Tensor
  anchors: tf.Tensor
  truth: tf.Tensor
  grid: tf.Tensor
  reach: float

  def normalized(self, boxes: tf.Tensor) -> tf.Tensor:
    """Boxes [..., 4] xywh in cells → in units of the input."""
    return boxes / tf.tile(self.grid, [2])


BoxLoss = Callable[[tf.Tensor, Place], tf.Tensor]


def squared_error(t: tf.Tensor, place: Place) -> tf.Tensor:
  """Half the squared distance of the centre in its cell and of log sizes, × 2 − area: [...]."""
  return tf.reduce_sum(_weight(place) * tf.square(_distance(t, place)), -1) / 2


def ciou_loss(t: tf.Tensor, place: Place) -> tf.Tensor:
  """1 − CIoU: [...]."""
  return 1 - ciou(*(xywh_to_yxyx(boxes) for boxes in (_decode(t, place), place.truth)))


def _squared_error_gradient(t: tf.Tensor, place: Place) -> tf.Tensor:
  return _weight(place) * _distance(t, place)


def _ciou_gradient(t: tf.Tensor, place: Place) -> tf.Tensor:
  predicted = place.normalized(_decode(t, place))
  gradient = _ciou_gradient_of_boxes(predicted, place.normalized(place.truth))
  scale = tf.concat([tf.ones_like(t[..., :2]), tf.exp(t[..., 2:])], -1)
  return gradient * scale


LOSSES: dict[str, tuple[BoxLoss, BoxLoss]] = {
  "mse": (squared_error, _squared_error_gradient),
  "ciou": (ciou_loss, _ciou_gradient),
}


def box_loss(
  t: tf.Tensor, place: Place, kind: str, gain: float, largest: float | None, exact: bool
) -> tf.Tensor:
  """`gain` times the loss of boxes [..., 4]: [...].

  Args:
    t: tx, ty, tw, th.
    place: of each box.
    kind: a key of `LOSSES`.
    gain: of the loss.
    largest: what components of Darknet's gradient are cut to; None: they are not.
    exact: whether the gradient is the derivative, not Darknet's.
  """
  loss, gradient = LOSSES[kind]
  if exact:
    return gain * loss(t, place)

  @tf.custom_gradient
  def as_darknet(t: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    def backward(upstream: tf.Tensor) -> tf.Tensor:
      each = gain * gradient(t, place)
      each = tf.where(tf.math.is_finite(each), each, tf.zeros_like(each))
      if largest is not None:
        each = tf.clip_by_value(each, -largest, largest)
      return upstream[..., None] * each

    return gain * loss(t, place), backward

  return as_darknet(t)


def _decode(t: tf.Tensor, place: Place) -> tf.Tensor:
  return decode_xywh(t, place.cells, place.anchors, "exponential", place.reach)


def _weight(place: Place) -> tf.Tensor:
  """Small objects weigh more: [..., 1]."""
  width, height = tf.split(place.normalized(place.truth)[..., 2:], 2, -1)
  return 2 - width * height


def _distance(t: tf.Tensor, place: Place) -> tf.Tensor:
  """How far boxes are from where they should be, in cells and in log sizes: [..., 4]."""
  centre = _decode(t, place)[..., :2] - place.truth[..., :2]
  return tf.concat([centre, t[..., 2:] - tf.math.log(place.truth[..., 2:] / place.anchors)], -1)


@dataclasses.dataclass(frozen=True)
class _Overlap:
  """Two spans along both axes, [..., 2] each: x, y.

  Attributes:
    shared: length of what both cover; negative where they are apart.
    shared_low, shared_high: its derivative by the lower and upper end of the first.
    hull: length of the span around both.
    hull_centre, hull_size: its derivative by the first's centre and size.
  """

  shared: tf.Tensor
  shared_low: tf.Tensor
  shared_high: tf.Tensor
  hull: tf.Tensor
  hull_centre: tf.Tensor
  hull_size: tf.Tensor


def _overlap(predicted: tf.Tensor, truth: tf.Tensor) -> _Overlap:
  half, true_half = predicted[..., 2:] / 2, truth[..., 2:] / 2
  low, high = predicted[..., :2] - half, predicted[..., :2] + half
  true_low, true_high = truth[..., :2] - true_half, truth[..., :2] + true_half
  below, above = (tf.cast(each, low.dtype) for each in (low < true_low, high > true_high))
  return _Overlap(
    shared=tf.minimum(high, true_high) - tf.maximum(low, true_low),
    shared_low=-tf.cast(low > true_low, low.dtype),
    shared_high=tf.cast(high < true_high, low.dtype),
    hull=tf.maximum(high, true_high) - tf.minimum(low, true_low),
    hull_centre=above - below,
    hull_size=(above + below) / 2,
  )


def _ciou_gradient_of_boxes(predicted: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
  """What Darknet takes for the gradient of 1 − CIoU by predicted boxes [..., 4] xywh."""
  along = _overlap(predicted, truth)
  inter = tf.reduce_prod(along.shared, -1, keepdims=True)
  areas = [tf.reduce_prod(boxes[..., 2:], -1, keepdims=True) for boxes in (predicted, truth)]
  union = tf.add_n(areas) - inter
  across = tf.reverse(along.shared, [-1]), tf.reverse(predicted[..., 2:], [-1])

  def of_iou(shared: tf.Tensor, sign: float) -> tf.Tensor:
    by_inter = shared * across[0]
    by_union = sign * across[1] - by_inter
    return (union * by_inter - inter * by_union) / tf.square(union)

  low, high = of_iou(along.shared_low, -1.0), of_iou(along.shared_high, 1.0)
  meets = tf.reduce_all(along.shared > 0, -1, keepdims=True) & (union > 0)
  iou = tf.concat([low + high, high - low], -1)
  iou = tf.where(meets, iou, tf.zeros_like(iou))
  gap = truth[..., :2] - predicted[..., :2]
  squared = tf.reduce_sum(tf.square(gap), -1, keepdims=True)
  diagonal = tf.reduce_sum(tf.square(along.hull), -1, keepdims=True)
  spread = 2 * along.hull * squared
  centre = (2 * gap * diagonal - spread * along.hull_centre) / tf.square(diagonal)
  size = spread * along.hull_size / tf.square(diagonal)
  size += _shape_gradient(predicted, truth, inter / union)
  return -(iou + tf.concat([centre, size], -1))


def _shape_gradient(predicted: tf.Tensor, truth: tf.Tensor, iou: tf.Tensor) -> tf.Tensor:
  """α times the gradient of the aspect ratio's term, with its sign, by width and height."""
  width, height = tf.split(predicted[..., 2:], 2, -1)
  true_width, true_height = tf.split(truth[..., 2:], 2, -1)
  angle = tf.atan(true_width / true_height) - tf.atan(width / height)
  term = 4 / math.pi**2 * tf.square(angle)
  alpha = term / (1 - iou + term + _TINY)
  return alpha * 8 / math.pi**2 * angle * tf.concat([height, -width], -1)
