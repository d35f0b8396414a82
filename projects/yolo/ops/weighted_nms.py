"""Weighted ("merge") suppression: what survives is the mean of what it stands for.

As `non_max_suppression` with merge=True in WongKinYiu's ScaledYOLOv4 and yolov7 (utils/general.py).
"""

import tensorflow as tf

_MOST = 3000  # The originals merge only where fewer candidates than this are above the threshold.


def merge(
  boxes: tf.Tensor,
  scores: tf.Tensor,
  same: tf.Tensor,
  keep: tf.Tensor,
  count: tf.Tensor,
  max_detections: int,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Moves the survivors of greedy suppression to the mean of their objects' candidates.

  A survivor becomes the mean of all candidates that are the same object (itself among them, and
  those that another survivor suppressed), weighted by score; the overlap only decides who belongs.
  A survivor that stands for itself alone is dropped: the originals ask for a second witness. Where
  no more than one candidate, or 3,000 and more, are above the threshold, neither happens.

  Args:
    boxes: [b, k, 4], best first.
    scores: [b, k], descending; 0 where a box is no candidate.
    same: [b, k, k] bool: whether two boxes are one object.
    keep: [b, k] bool: the survivors.
    count: [b] int32: how many candidates were above the threshold, those beyond k among them.
    max_detections: survivors behind the first so many are dropped, before the lone ones are.

  Returns:
    Boxes [b, k, 4], moved where they survive, and [b, k] bool: which do.
  """
  first = keep & (tf.cumsum(tf.cast(keep, tf.int32), axis=-1) <= max_detections)
  weights = tf.cast(same, scores.dtype) * scores[:, None]
  total = tf.reduce_sum(weights, axis=-1, keepdims=True)
  means = tf.math.divide_no_nan(weights @ boxes, total)
  witnesses = tf.math.count_nonzero(weights, axis=-1, dtype=tf.int32)
  merged = ((count > 1) & (count < _MOST))[:, None]
  moved = tf.where((merged & first)[..., None], means, boxes)
  return moved, first & (~merged | (witnesses > 1))
