"""YOLOv7's dynamic assignment (simOTA, Ge et al. 2021, §3.2): objects take their cheapest places.

Candidates are the places of `assign_v7` for all objects of an image, over all levels. An object
takes as many of them as the sum of its best overlaps says, whichever object a candidate came from,
by the lowest cost: class cross-entropy + 3 · −log IoU. A candidate that several objects took goes
to the object of the image to which it costs least. One place that is the candidate of two objects
is two candidates.

Matrices of objects × candidates with masks take the place of the original's lists: static shapes.
Between equal costs the first candidate, in the order of `assign_v7`, wins (open in the original).
"""

from typing import NamedTuple

import tensorflow as tf

from projects.yolo.losses.assignment import Assignment, assign_v7, boxes_in_cells
from projects.yolo.modeling.decoding import Coordinates, decode_xywh
from projects.yolo.ops.boxes import iou, xywh_to_yxyx

IOU_COST = 3.0
_TINY_IOU = 1e-8  # As the original: bounds the cost of boxes that do not meet.
_NEAREST_ZERO = -1e-30  # Of log probabilities: keeps log(1 − p) finite for sure predictions.


class Rule(NamedTuple):
  """How candidates are found and counted.

  Attributes:
    reach: see `assign_v7`.
    top: an object takes as many candidates as its `top` largest overlaps sum up to, 1 at least.
    ratio_threshold: see `assign_v7`.
  """

  reach: float
  top: int
  ratio_threshold: float


def assign_ota(
  raw: dict[str, tf.Tensor],
  labels: dict[str, tf.Tensor],
  coordinates: Coordinates,
  rule: Rule,
) -> dict[int, Assignment]:
  """Assigns padded objects to places by level, finest first; takes no gradient.

  Args:
    raw: {level: [b, h, w, a, 5 + classes]}, static but for b; their cost decides.
    labels: `boxes` [b, n, 4] yxyx in 0..1 of the input, `classes` [b, n] int32 and `valid` [b, n]
      bool.
    coordinates: of the network.
    rule: of candidates.
  """
  levels = sorted(coordinates.anchors)
  raw = {level: tf.stop_gradient(raw[str(level)]) for level in levels}
  candidates = [_candidates(raw[level], labels, coordinates, level, rule) for level in levels]
  predictions = [
    _predictions(raw[level], places, coordinates, level)
    for level, places in zip(levels, candidates, strict=True)
  ]
  boxes, logits = (tf.concat(part, axis=1) for part in zip(*predictions, strict=True))
  mask = tf.concat([places.mask for places in candidates], axis=1)
  overlap = iou(_truth(raw[levels[0]], labels, levels[0])[:, :, None], boxes[:, None])
  pairs = mask[:, None] & labels["valid"][..., None]  # [b, n, p]
  overlap = tf.where(pairs, overlap, 0)
  cost = _class_cost(logits, labels) - IOU_COST * tf.math.log(overlap + _TINY_IOU)
  chosen, item = match(tf.where(pairs, cost, cost.dtype.max), _counts(overlap, rule.top), rule.top)
  return _split(raw, candidates, labels, chosen & mask, item)


def match(cost: tf.Tensor, counts: tf.Tensor, top: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Every object's cheapest candidates, each candidate to one object.

  Args:
    cost: [b, n, p], the dtype's largest number where a pair is impossible.
    counts: [b, n] int32 in 1..top, how many candidates an object takes.
    top: static.

  Returns:
    chosen [b, p] bool; item [b, p] int32, the object, meaningless where not `chosen`.
  """
  lowest, where = tf.math.top_k(-cost, min(top, cost.shape[2]))  # Equal ones: the first first.
  last = (counts - 1)[..., None]
  limit = -tf.gather(lowest, last, batch_dims=2)  # [b, n, 1]
  position = tf.range(cost.shape[2])
  tie = (cost == limit) & (position <= tf.gather(where, last, batch_dims=2))
  takes = ((cost < limit) | tie) & (cost < cost.dtype.max)
  takers = tf.reduce_sum(tf.cast(takes, tf.int32), axis=1)
  only = tf.argmax(tf.cast(takes, tf.int32), axis=1, output_type=tf.int32)
  cheapest = tf.argmin(cost, axis=1, output_type=tf.int32)
  return takers > 0, tf.where(takers > 1, cheapest, only)


def _candidates(
  raw: tf.Tensor, labels: dict[str, tf.Tensor], coordinates: Coordinates, level: int, rule: Rule
) -> Assignment:
  _, height, width, _, _ = raw.shape
  return assign_v7(
    boxes_in_cells(labels["boxes"], height, width, raw.dtype),
    labels["classes"],
    labels["valid"],
    tf.constant(coordinates.anchors[level], raw.dtype) / 2**level,
    height,
    width,
    ratio_threshold=rule.ratio_threshold,
    reach=rule.reach,
  )


def _predictions(
  raw: tf.Tensor, places: Assignment, coordinates: Coordinates, level: int
) -> tuple[tf.Tensor, tf.Tensor]:
  """What the network says at the places: boxes [b, p, 4] yxyx in pixels, logits [b, p, 1 + c]."""
  _, height, width, count, channels = raw.shape
  flat = tf.reshape(raw, [-1, height * width * count, channels])
  picked = tf.gather(flat, places.index, batch_dims=1)
  boxes = decode_xywh(
    picked, places.cells, places.anchors, coordinates.form, coordinates.scale_xy[level]
  )
  return xywh_to_yxyx(boxes * 2**level), picked[..., 4:]


def _truth(raw: tf.Tensor, labels: dict[str, tf.Tensor], level: int) -> tf.Tensor:
  """The objects' boxes [b, n, 4] yxyx in pixels of the input."""
  _, height, width, _, _ = raw.shape
  return xywh_to_yxyx(boxes_in_cells(labels["boxes"], height, width, raw.dtype) * 2**level)


def _counts(overlap: tf.Tensor, top: int) -> tf.Tensor:
  """How many candidates each object takes: [b, n] int32."""
  best, _ = tf.math.top_k(overlap, min(top, overlap.shape[2]))
  return tf.maximum(tf.cast(tf.reduce_sum(best, axis=-1), tf.int32), 1)


def _class_cost(logits: tf.Tensor, labels: dict[str, tf.Tensor]) -> tf.Tensor:
  """Cross-entropies, summed over classes, of √(objectness · class) with the objects': [b, n, p].

  All classes as if absent, then the object's own corrected: no [n, p, classes].
  """
  log = (tf.math.log_sigmoid(logits[..., 1:]) + tf.math.log_sigmoid(logits[..., :1])) / 2
  log = tf.minimum(log, tf.constant(_NEAREST_ZERO, log.dtype))
  log_not = tf.math.log(-tf.math.expm1(log))
  classes = tf.where(labels["valid"], labels["classes"], 0)
  own = tf.gather(tf.transpose(log_not - log, [0, 2, 1]), classes, batch_dims=1)
  return own - tf.reduce_sum(log_not, axis=-1)[:, None]


def _split(
  raw: dict[int, tf.Tensor],
  candidates: list[Assignment],
  labels: dict[str, tf.Tensor],
  chosen: tf.Tensor,
  item: tf.Tensor,
) -> dict[int, Assignment]:
  """The candidates of each level with the objects they go to."""
  sizes = [places.mask.shape[1] for places in candidates]
  parts = zip(tf.split(chosen, sizes, axis=1), tf.split(item, sizes, axis=1), strict=True)
  found = {}
  for (level, output), places, (mask, mine) in zip(raw.items(), candidates, parts, strict=True):
    _, height, width, _, _ = output.shape
    boxes = boxes_in_cells(labels["boxes"], height, width, output.dtype)
    found[level] = places._replace(
      index=tf.where(mask, places.index, 0),
      mask=mask,
      boxes=tf.gather(boxes, mine, batch_dims=1),
      classes=tf.where(mask, tf.gather(labels["classes"], mine, batch_dims=1), 0),
    )
  return found
