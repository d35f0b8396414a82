"""Non-maximum suppression with static shapes, in one piece that XLA compiles.

Greedy suppression keeps box i unless a kept box before it (higher score) overlaps it. That is the
only fixed point of keep = ¬(overlapᵀ · keep); iterating from "keep all" settles box after box from
the top, so the loop ends after as many rounds as the longest chain of suppressions: a few.
"""

import tensorflow as tf

from projects.yolo.ops import matrix_nms, weighted_nms
from projects.yolo.ops.boxes import diou, iou

Detections = dict[str, tf.Tensor]

KINDS = ("class_wise", "class_agnostic", "weighted", *matrix_nms.DECAYS)


def suppress(same: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
  """Greedy suppression of boxes in descending order of score.

  Args:
    same: [b, k, k] bool: whether two boxes, ordered best first, are one object.
    valid: [b, k] bool; invalid boxes neither survive nor suppress.

  Returns:
    [b, k] bool: the boxes that survive.
  """
  count = same.shape[1]
  before = tf.linalg.band_part(tf.ones([count, count], tf.bool), 0, -1)
  # [b, i, j]: i stands before j and is the same object.
  beats = same & before & ~tf.eye(count, dtype=tf.bool)

  def settle(_: tf.Tensor, keep: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    beaten = tf.reduce_any(beats & keep[:, :, None], axis=1)
    new = valid & ~beaten
    return tf.reduce_any(new != keep), new

  _, keep = tf.while_loop(
    lambda changed, _: changed, settle, (tf.constant(True), valid), maximum_iterations=count
  )
  return keep


def detect(
  boxes: tf.Tensor,
  scores: tf.Tensor,
  *,
  score_threshold: float,
  iou_threshold: float,
  candidates: int,
  max_detections: int,
  kind: str = "class_wise",
  diou_exponent: float | None = None,
) -> Detections:
  """Suppression among the best (box, class) pairs of each image.

  The originals (WongKinYiu's ScaledYOLOv4 and yolov7) look at 30,000 pairs and return 300. Greedy
  suppression of fewer `candidates` returns the head of the same list, exactly: what is lost are
  survivors beyond the last candidate, so nothing where `max_detections` are found before it.
  `weighted` loses the votes of those beyond, too, and equals the originals only while no pair above
  the threshold is left out. Memory grows with the square of `candidates`.

  Args:
    boxes: [b, n, 4] yxyx.
    scores: [b, n, classes] in 0..1; each (box, class) pair is a candidate.
    score_threshold: candidates at or below are dropped; of `matrix_…`, also those that decay to it.
    iou_threshold: a pair that overlaps by more than this is one object. No part of `matrix_…`.
    candidates: how many of the best pairs are looked at; the rest is dropped.
    max_detections: rows of the result.
    kind: one of `KINDS`. `class_wise` and `class_agnostic` are greedy, and differ in whether boxes
      of different classes suppress each other; in all other kinds they do not. `weighted` merges,
      see `weighted_nms.merge`; `matrix_linear` and `matrix_gaussian` see `matrix_nms.decay`.
    diou_exponent: overlap is distance IoU with this exponent (see `diou`); None: IoU.

  Returns:
    `boxes` [b, m, 4], `classes` [b, m] int32 (−1 behind the last), `scores` [b, m] (0 behind the
    last), best first, and `count` [b] int32.
  """
  above = tf.where(scores > score_threshold, scores, 0)
  boxes, classes, top = _candidates(boxes, above, candidates)
  pairs = boxes[:, :, None], boxes[:, None]
  overlap = iou(*pairs) if diou_exponent is None else diou(*pairs, diou_exponent)
  if kind != "class_agnostic":
    overlap = tf.where(classes[:, :, None] == classes[:, None], overlap, 0)
  if kind in matrix_nms.DECAYS:
    top = matrix_nms.decay(overlap, top, kind)
    return _best(boxes, classes, tf.where(top > score_threshold, top, 0), max_detections)
  same = overlap > iou_threshold
  keep = suppress(same, top > 0)
  if kind == "weighted":
    count = tf.math.count_nonzero(above, axis=(1, 2), dtype=tf.int32)
    boxes, keep = weighted_nms.merge(boxes, top, same, keep, count, max_detections)
  return _best(boxes, classes, tf.where(keep, top, 0), max_detections)


def _candidates(
  boxes: tf.Tensor, scores: tf.Tensor, count: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """The `count` best (box, class) pairs: boxes [b, k, 4], classes [b, k] int32, scores [b, k]."""
  pairs, num_classes = boxes.shape[1] * scores.shape[-1], scores.shape[-1]
  top, index = tf.math.top_k(tf.reshape(scores, [-1, pairs]), min(count, pairs))
  return tf.gather(boxes, index // num_classes, batch_dims=1), index % num_classes, top


def _best(boxes: tf.Tensor, classes: tf.Tensor, scores: tf.Tensor, count: int) -> Detections:
  """The `count` best rows, padded where there are fewer."""
  missing = max(count - scores.shape[1], 0)
  scores, order = tf.math.top_k(scores, min(count, scores.shape[1]))
  found = scores > 0
  classes = tf.where(found, tf.gather(classes, order, batch_dims=1), -1)
  boxes = tf.where(found[..., None], tf.gather(boxes, order, batch_dims=1), 0)
  return {
    "boxes": tf.pad(boxes, [[0, 0], [0, missing], [0, 0]]),
    "classes": tf.pad(classes, [[0, 0], [0, missing]], constant_values=-1),
    "scores": tf.pad(scores, [[0, 0], [0, missing]]),
    "count": tf.reduce_sum(tf.cast(found, tf.int32), axis=-1),
  }
