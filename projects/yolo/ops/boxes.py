"""Box arithmetic on [..., 4] tensors: yxyx corners (ymin, xmin, ymax, xmax) or xywh centres.

Any float dtype; coordinates in any one unit.
"""

import math

import tensorflow as tf

_TINY = 1e-9  # Keeps quotients of empty boxes finite.


def yxyx_to_xywh(boxes: tf.Tensor) -> tf.Tensor:
  """Corners [..., 4] → centre and size [..., 4]."""
  ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
  return tf.stack([(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin], axis=-1)


def xywh_to_yxyx(boxes: tf.Tensor) -> tf.Tensor:
  """Centre and size [..., 4] → corners [..., 4]."""
  x, y, w, h = tf.unstack(boxes, axis=-1)
  return tf.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], axis=-1)


def area(boxes: tf.Tensor) -> tf.Tensor:
  """Areas [...] of yxyx boxes; 0 where a side is negative."""
  sides = tf.maximum(boxes[..., 2:] - boxes[..., :2], 0)
  return sides[..., 0] * sides[..., 1]


def _intersection(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
  low = tf.maximum(a[..., :2], b[..., :2])
  high = tf.minimum(a[..., 2:], b[..., 2:])
  return area(tf.concat([low, high], axis=-1))


def iou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
  """Intersection over union [...] of yxyx boxes that broadcast; 0 for two empty boxes."""
  overlap = _intersection(a, b)
  return overlap / tf.maximum(area(a) + area(b) - overlap, _TINY)


def diou(a: tf.Tensor, b: tf.Tensor, exponent: float = 1.0) -> tf.Tensor:
  """Distance IoU [...] of yxyx boxes: IoU − (d²/c²)^exponent (Zheng et al. 2020, eq. 7).

  d lies between the centres, c is the diagonal of the box around both. The exponent is Darknet's.
  """
  return iou(a, b) - tf.pow(_distance(a, b), exponent)


def _distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
  """Squared distance of the centres over the squared diagonal around both boxes."""
  centre_a, centre_b = a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]
  distance = tf.reduce_sum(tf.square(centre_a - centre_b), -1) / 4
  low = tf.minimum(a[..., :2], b[..., :2])
  high = tf.maximum(a[..., 2:], b[..., 2:])
  diagonal = tf.reduce_sum(tf.square(high - low), -1)
  return distance / tf.maximum(diagonal, _TINY)


def ciou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
  """Complete IoU [...] of yxyx boxes (Zheng et al. 2020, eq. 10): IoU − d²/c² − αv.

  As the paper's code, the weight α takes no gradient.
  """
  overlap = iou(a, b)
  v = tf.square(_aspect_angle(a) - _aspect_angle(b)) * (4 / math.pi**2)
  alpha = tf.stop_gradient(v / tf.maximum(1 - overlap + v, _TINY))
  return overlap - _distance(a, b) - alpha * v


def _aspect_angle(boxes: tf.Tensor) -> tf.Tensor:
  height, width = tf.unstack(tf.maximum(boxes[..., 2:] - boxes[..., :2], _TINY), axis=-1)
  return tf.atan(width / height)


def to_image_pixels(boxes: tf.Tensor, image_info: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
  """Boxes on the network's input → boxes on the original image, clipped to it.

  Args:
    boxes: [b, n, 4] yxyx in pixels of the input.
    image_info: [b, 4] scale y, scale x, offset y, offset x: input = original · scale + offset.
    size: [b, 2] height and width of the originals.
  """
  scale, offset = (tf.tile(part, [1, 2])[:, None] for part in tf.split(image_info, 2, axis=-1))
  limit = tf.tile(tf.cast(size, boxes.dtype), [1, 2])[:, None]
  scale, offset = tf.cast(scale, boxes.dtype), tf.cast(offset, boxes.dtype)
  return tf.clip_by_value((boxes - offset) / scale, tf.zeros_like(limit), limit)
