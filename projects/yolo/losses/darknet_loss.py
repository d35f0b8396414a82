"""Darknet's own loss, of networks with exponential coordinates (YOLOv3 and YOLOv4).

Source: AlexeyAB's Darknet, `yolo_layer.c`. By place:
- An object answers at its centre's cell for the anchor that is most like it in shape (IoU of both
  at one corner) among all anchors of the network, and, where the rule says so, for every other
  anchor more like it than `further`.
- Objectness: cross-entropy, 1 where an object answers, else 0; left out where a box overlaps some
  object by more than 0.7 and a class is likelier than a quarter.
- Classes: binary cross-entropies where objects answer; of several objects at one place, the classes
  of all are right.
- Boxes: see `darknet_boxes.py`; with further anchors, divided by the number of classes at a place.

All are sums over places and means over images. Darknet prints squares of its gradients instead; its
gradient is what is reproduced here. A centre on the right or lower border of the image is moved
into the last cell (Darknet writes behind the end).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from projects.yolo.losses.assignment import boxes_in_cells
from projects.yolo.losses.darknet_boxes import Place, box_loss
from projects.yolo.losses.yolo_loss import LossWeights, at_places, cross_entropy, weigh
from projects.yolo.modeling.decoding import Coordinates, decode_level
from projects.yolo.modeling.variant import Anchors
from projects.yolo.ops.boxes import iou, xywh_to_yxyx

_IGNORED_OVERLAP, _IGNORED_CLASS = 0.7, 0.25


@dataclasses.dataclass(frozen=True)
class DarknetRule:
  """What the `[yolo]` sections of a `.cfg` say of training.

  Attributes:
    box: loss of boxes, a key of `darknet_boxes.LOSSES`.
    further: shape IoU above which further anchors answer; 1: none does.
    largest: what components of the gradient of boxes are cut to, before it is divided.
    unused: anchors of no level, in pixels: an object that is most like one has no best place.
    exact: whether the gradient of boxes is the derivative, not Darknet's.
  """

  box: str
  further: float = 1.0
  largest: float | None = None
  unused: Anchors = ()
  exact: bool = False


RULES: dict[str, DarknetRule] = {
  "darknet_v3": DarknetRule("mse"),
  "darknet_v4_tiny": DarknetRule("ciou", unused=((10, 14),)),
  "darknet_v4": DarknetRule("ciou", further=0.213, largest=5.0),
}


def darknet_loss(
  raw: Mapping[str, tf.Tensor],
  labels: Mapping[str, tf.Tensor],
  coordinates: Coordinates,
  weights: LossWeights,
  rule: DarknetRule,
) -> dict[str, tf.Tensor]:
  """The loss and its terms; arguments and result are those of `yolo_loss`.

  Args:
    raw: {level: [b, h, w, a, 5 + classes]}, static but for b.
    labels: `boxes`, `classes` and `valid`.
    coordinates: of the network: exponential.
    weights: of the terms: gains alone.
    rule: who answers, and for what.
  """
  terms = [
    _level_terms(raw[str(level)], labels, coordinates, level, weights.box, rule)
    for level in coordinates.anchors
  ]
  boxes, objectness, classes = map(tf.add_n, zip(*terms, strict=True))
  # The gain of boxes is in already: it comes before the cut.
  return weigh((boxes, objectness, classes), dataclasses.replace(weights, box=1.0))


class _Pairs(NamedTuple):
  """Objects with the anchors of one level at the cells of their centres, p = objects · anchors.

  Attributes:
    index: [b, p] int32 into the flattened [h · w · anchors] outputs.
    mask: [b, p] bool: whether the object answers there.
    classes: [b, p, classes]: 1 for those of all objects that answer at the place.
    first: [b, p] bool: no pair before answers at the place.
    place: of boxes; a unit box where none answers.
  """

  index: tf.Tensor
  mask: tf.Tensor
  classes: tf.Tensor
  first: tf.Tensor
  place: Place


def _level_terms(
  raw: tf.Tensor,
  labels: Mapping[str, tf.Tensor],
  coordinates: Coordinates,
  level: int,
  gain: float,
  rule: DarknetRule,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  flat = tf.reshape(raw, [-1, math.prod(raw.shape[1:4]), raw.shape[4]])
  pairs = _pairs(raw, labels, coordinates, level, rule)
  picked = tf.gather(flat, pairs.index, batch_dims=1)
  share = tf.cast(pairs.mask, raw.dtype)
  if rule.further < 1:
    share /= tf.maximum(tf.reduce_sum(pairs.classes, -1), 1)
  boxes = box_loss(picked[..., :4], pairs.place, rule.box, gain, rule.largest, rule.exact)
  objects = at_places(pairs.index, pairs.mask, tf.ones_like(share), flat[..., 4])
  counted = ~_overlapping(raw, labels, coordinates, level) | (objects == 1)
  objectness = cross_entropy(objects, flat[..., 4]) * tf.cast(counted, raw.dtype)
  classes = tf.reduce_sum(cross_entropy(pairs.classes, picked[..., 5:]), -1)
  classes *= tf.cast(pairs.first, raw.dtype)
  images = tf.cast(tf.shape(raw)[0], raw.dtype)
  boxes, objectness, classes = map(tf.reduce_sum, (share * boxes, objectness, classes))
  return boxes / images, objectness / images, classes / images


def _pairs(
  raw: tf.Tensor,
  labels: Mapping[str, tf.Tensor],
  coordinates: Coordinates,
  level: int,
  rule: DarknetRule,
) -> _Pairs:
  _, height, width, count, channels = raw.shape
  boxes = boxes_in_cells(labels["boxes"], height, width, raw.dtype)
  limit = tf.constant([width, height], raw.dtype)
  cells = tf.clip_by_value(tf.floor(boxes[..., :2]), 0, limit - 1)
  column, row = tf.unstack(tf.cast(cells, tf.int32), axis=-1)
  objects = boxes.shape[1]
  index = (row * width + column)[..., None] * count + tf.range(count)
  index = tf.reshape(index, [-1, objects * count])
  answers = _answers(boxes, labels["valid"], coordinates, level, rule)
  mask = tf.reshape(answers, [-1, objects * count])
  own = tf.one_hot(tf.repeat(labels["classes"], count, 1), channels - 5, dtype=raw.dtype)
  same = (index[:, :, None] == index[:, None]) & mask[:, :, None] & mask[:, None]
  earlier = np.tri(objects * count, k=-1, dtype=bool)
  truth = tf.where(answers[..., None], boxes[:, :, None], tf.ones_like(boxes[:, :, None]))
  anchors = tf.constant(coordinates.anchors[level], raw.dtype) / 2**level
  place = Place(
    cells=tf.repeat(cells, count, 1),
    anchors=tf.tile(anchors, [objects, 1]),
    truth=tf.reshape(truth, [-1, objects * count, 4]),
    grid=limit,
    reach=coordinates.scale_xy[level],
  )
  classes = tf.minimum(tf.matmul(tf.cast(same, raw.dtype), own), 1)
  return _Pairs(index, mask, classes, mask & ~tf.reduce_any(same & earlier, -1), place)


def _answers(
  boxes: tf.Tensor, valid: tf.Tensor, coordinates: Coordinates, level: int, rule: DarknetRule
) -> tf.Tensor:
  """Whether objects [b, n, 4] answer for the anchors of a level: [b, n, a]."""
  levels = (anchor for anchors in coordinates.anchors.values() for anchor in anchors)
  every = list(dict.fromkeys((*rule.unused, *levels)))
  sides = tf.constant(every, boxes.dtype) / 2**level
  likeness = _shape_iou(boxes[..., None, 2:], sides)  # [b, n, all]
  answers = tf.one_hot(tf.argmax(likeness, -1), len(every), on_value=True, off_value=False)
  if rule.further < 1:
    answers |= likeness > rule.further
  own = [every.index(anchor) for anchor in coordinates.anchors[level]]
  return tf.gather(answers & (likeness > 0) & valid[..., None], own, axis=-1)


def _shape_iou(sides: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
  """IoU of boxes at one corner, of widths and heights [..., 2]."""
  inter = tf.reduce_prod(tf.minimum(sides, others), -1)
  union = tf.reduce_prod(sides, -1) + tf.reduce_prod(others, -1) - inter
  return tf.math.divide_no_nan(inter, union)


def _overlapping(
  raw: tf.Tensor, labels: Mapping[str, tf.Tensor], coordinates: Coordinates, level: int
) -> tf.Tensor:
  """Where a box with a likely class overlaps some object: [b, places]."""
  raw = tf.stop_gradient(raw)
  _, height, width, count, _ = raw.shape
  predicted, _ = decode_level(raw, level, coordinates)
  size = tf.constant([height, width, height, width], raw.dtype) * 2**level
  truth = tf.cast(labels["boxes"], raw.dtype) * size
  overlap = iou(xywh_to_yxyx(predicted)[:, :, None], truth[:, None])  # [b, places, n]
  overlap *= tf.cast(labels["valid"], raw.dtype)[:, None]
  likely = tf.reduce_max(tf.sigmoid(raw[..., 5:]), -1) > _IGNORED_CLASS
  likely = tf.reshape(likely, [-1, height * width * count])
  return likely & (tf.reduce_max(overlap, -1) > _IGNORED_OVERLAP)
