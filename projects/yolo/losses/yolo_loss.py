"""ScaledYOLOv4's loss as pure functions: box (CIoU), objectness and class (cross-entropy).

Per level, over the places that are responsible (here by `assign`; `v7_loss.py` has other rules):
- box: mean of 1 − CIoU;
- objectness: cross-entropy over every place, the target being the place's CIoU (0 elsewhere)
  without gradient, weighted by level;
- class: mean of the binary cross-entropies, with smoothed labels where asked for.

Where two objects fall on one place, its objectness target is the larger CIoU (the original:
whichever was written last).
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from projects.yolo.losses.assignment import Assignment, assign, boxes_in_cells
from projects.yolo.modeling.decoding import Coordinates, decode_xywh
from projects.yolo.ops.boxes import ciou, xywh_to_yxyx

# Weights of the levels' objectness, finest first: finer grids have more empty places.
LEVEL_BALANCE = {
  2: (4.0, 1.0),
  3: (4.0, 1.0, 0.4),
  4: (4.0, 1.0, 0.4, 0.1),
  5: (4.0, 1.0, 0.5, 0.4, 0.1),
}


@dataclasses.dataclass(frozen=True)
class LossWeights:
  """Gains of the three terms and the rule of assignment; the defaults are ScaledYOLOv4's.

  Attributes:
    box: gain of the box term.
    objectness: gain of the objectness term.
    classes: gain of the class term.
    ratio_threshold: see `assign`.
    label_smoothing: ε: a place's own class has target 1 − ε/2, the others ε/2.
    overlap_share: s: a responsible place's objectness target is 1 − s + s · CIoU.
  """

  box: float = 0.05
  objectness: float = 1.0
  classes: float = 0.5
  ratio_threshold: float = 4.0
  label_smoothing: float = 0.0
  overlap_share: float = 1.0


def yolo_loss(
  raw: dict[str, tf.Tensor],
  labels: dict[str, tf.Tensor],
  coordinates: Coordinates,
  weights: LossWeights,
) -> dict[str, tf.Tensor]:
  """The loss and its terms.

  Args:
    raw: {level: [b, h, w, a, 5 + classes]}, static but for b.
    labels: `boxes` [b, n, 4] yxyx in 0..1 of the input, `classes` [b, n] int32 and `valid` [b, n]
      bool.
    coordinates: of the network.
    weights: of the terms.

  Returns:
    Scalars `box_loss`, `objectness_loss`, `class_loss` (weighted, means over the batch) and
    `total_loss`, their sum.
  """
  places = {
    level: _assign_level(raw[str(level)], labels, coordinates, level, weights)
    for level in sorted(coordinates.anchors)
  }
  return weigh(loss_terms(raw, places, coordinates, weights, LEVEL_BALANCE[len(places)]), weights)


def loss_terms(
  raw: dict[str, tf.Tensor],
  places: dict[int, Assignment],
  coordinates: Coordinates,
  weights: LossWeights,
  balance: Sequence[float],
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Box, objectness and class term, summed over levels, before their gains.

  Args:
    raw: {level: [b, h, w, a, 5 + classes]}, static but for b.
    places: what answers for what, by level, finest first.
    coordinates: of the network.
    weights: targets of objectness and class.
    balance: weight of each level's objectness, finest first.
  """
  terms = [
    _level_terms(raw[str(level)], places[level], coordinates, level, weights) for level in places
  ]
  boxes, objectness, classes = zip(*terms, strict=True)
  balanced = [share * term for share, term in zip(balance, objectness, strict=True)]
  return tf.add_n(boxes), tf.add_n(balanced), tf.add_n(classes)


def weigh(
  terms: tuple[tf.Tensor, tf.Tensor, tf.Tensor], weights: LossWeights
) -> dict[str, tf.Tensor]:
  """The terms of `loss_terms` by name, times their gains, and `total_loss`, their sum."""
  boxes, objectness, classes = terms
  losses = {
    "box_loss": weights.box * boxes,
    "objectness_loss": weights.objectness * objectness,
    "class_loss": weights.classes * classes,
  }
  return losses | {"total_loss": tf.add_n(list(losses.values()))}


def _assign_level(
  raw: tf.Tensor,
  labels: dict[str, tf.Tensor],
  coordinates: Coordinates,
  level: int,
  weights: LossWeights,
) -> Assignment:
  _, height, width, _, _ = raw.shape
  return assign(
    boxes_in_cells(labels["boxes"], height, width, raw.dtype),
    labels["classes"],
    labels["valid"],
    tf.constant(coordinates.anchors[level], raw.dtype) / 2**level,
    height,
    width,
    ratio_threshold=weights.ratio_threshold,
    neighbours=coordinates.scale_xy[level] >= 2,
  )


def _level_terms(
  raw: tf.Tensor, places: Assignment, coordinates: Coordinates, level: int, weights: LossWeights
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  _, height, width, count, channels = raw.shape
  flat = tf.reshape(raw, [-1, height * width * count, channels])
  picked = tf.gather(flat, places.index, batch_dims=1)  # [b, p, 5 + classes]
  overlap = _overlap(picked, places, coordinates.form, coordinates.scale_xy[level])
  mask = tf.cast(places.mask, raw.dtype)
  responsible = tf.maximum(tf.reduce_sum(mask), 1)
  share = weights.overlap_share
  target = 1 - share + share * tf.maximum(tf.stop_gradient(overlap), 0)
  target = at_places(places.index, places.mask, target, flat[..., 4])
  wanted = tf.one_hot(places.classes, channels - 5, dtype=raw.dtype)
  wanted = wanted * (1 - weights.label_smoothing) + weights.label_smoothing / 2
  class_loss = tf.reduce_mean(cross_entropy(wanted, picked[..., 5:]), axis=-1)
  return (
    tf.reduce_sum((1 - overlap) * mask) / responsible,
    tf.reduce_mean(cross_entropy(target, flat[..., 4])),
    tf.reduce_sum(class_loss * mask) / responsible,
  )


def _overlap(picked: tf.Tensor, places: Assignment, form: str, reach: float) -> tf.Tensor:
  """CIoU [b, p] of each candidate's prediction with its object."""
  predicted = decode_xywh(picked, places.cells, places.anchors, form, reach)
  # Unused candidates look at a unit box: finite, and out of the sums by their mask.
  boxes = tf.where(places.mask[..., None], places.boxes, tf.ones_like(places.boxes))
  return ciou(xywh_to_yxyx(predicted), xywh_to_yxyx(boxes))


def at_places(index: tf.Tensor, mask: tf.Tensor, values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  """The largest of the `values` [b, p] at each place [b, h · w · a], 0 where none is.

  Args:
    index: [b, p] int32, the place of each.
    mask: [b, p] bool, which count.
    values: not negative.
    like: [b, h · w · a], whose shape and dtype the result has.
  """
  batch = tf.broadcast_to(tf.range(tf.shape(like)[0])[:, None], tf.shape(index))
  values = tf.where(mask, values, tf.zeros_like(values))
  return tf.tensor_scatter_nd_max(tf.zeros_like(like), tf.stack([batch, index], axis=-1), values)


def cross_entropy(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
  """Binary cross-entropy, element by element."""
  return tf.nn.sigmoid_cross_entropy_with_logits(target, logits)
