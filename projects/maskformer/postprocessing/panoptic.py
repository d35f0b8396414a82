"""Panoptic segmentation: which query each pixel belongs to, and which queries are segments.

The original's rule (`panoptic_inference`): queries whose most probable class is an object, above a
threshold, compete for each pixel by class probability times mask probability. A query that wins
less than a share of its own mask (where its probability is at least a half) is dropped, and its
pixels stay void. The others are segments, numbered from 1 in the queries' order; those of one
stuff class are one segment.

Deviation: the original goes through the queries one by one. Since each pixel has one winner, all
that follows is about numbers of queries: it is done for all at once, with static shapes.
"""

from typing import NamedTuple

import tensorflow as tf

from projects.maskformer.postprocessing.resizing import Frame, by_stripes, rows_of

OBJECT_THRESHOLD = OVERLAP_THRESHOLD = 0.8


class Segmentation(NamedTuple):
  """A panoptic segmentation; of the n places for segments the first `count` are taken.

  Attributes:
    ids: the segment of each pixel [h, w] int32, from 1; 0 is void.
    count: how many segments there are, int32.
    classes: [n] int32, −1 in places that are not taken.
    scores: [n] float, the probability of the class in 0..1, 0 in places that are not taken. Of
      stuff that several queries found: of the first one.
    areas: [n] int32, pixels.
  """

  ids: tf.Tensor
  count: tf.Tensor
  classes: tf.Tensor
  scores: tf.Tensor
  areas: tf.Tensor


class _Queries(NamedTuple):
  """Class probability [q], most probable class [q] int32 and whether it is an object [q] bool."""

  scores: tf.Tensor
  classes: tf.Tensor
  kept: tf.Tensor


def panoptic(
  class_logits: tf.Tensor,
  mask_logits: tf.Tensor,
  frame: Frame,
  things: tf.Tensor,
  object_threshold: float = OBJECT_THRESHOLD,
  overlap_threshold: float = OVERLAP_THRESHOLD,
) -> Segmentation:
  """Segments one image at its original size.

  Shapes are static where those of the inputs and the frame's sizes are. Beyond the logits and the
  map, memory is for a few rows and, where the input is resized, for [h, image width, q].

  Args:
    class_logits: [q, c + 1] float, no-object last; q ≥ 1.
    mask_logits: [q, h, w] float, of the whole padded input.
    frame: of the image.
    things: [c] bool, which classes are things; the others are stuff.
    object_threshold: the class probability that a query must exceed.
    overlap_threshold: the least share of its own mask that it must win.

  Returns:
    the segmentation, with as many places as queries.
  """
  queries = _classify(class_logits, object_threshold)
  owners, own_areas = _compete(mask_logits, queries, frame)
  won_areas = tf.math.unsorted_segment_sum(tf.ones_like(owners), owners, tf.size(own_areas))
  alive = queries.kept & _holds(won_areas, own_areas, overlap_threshold)
  founders = _founders(queries.classes, alive, things)
  return _number(queries, owners, won_areas, alive, founders)


def confident(
  class_logits: tf.Tensor, mask_logits: tf.Tensor, object_threshold: float = OBJECT_THRESHOLD
) -> tuple[tf.Tensor, tf.Tensor]:
  """Leaves out queries that `panoptic` would: a saving on hosts, where shapes may vary.

  Args:
    class_logits: [q, c + 1] float.
    mask_logits: [q, h, w] float.
    object_threshold: as of `panoptic`.

  Returns:
    both logits, of the queries that count, or of the first one where none does.
  """
  kept = _classify(class_logits, object_threshold).kept
  none = ~tf.reduce_any(kept) & (tf.range(tf.size(kept)) == 0)
  indices = tf.where(kept | none)[:, 0]
  return tf.gather(class_logits, indices), tf.gather(mask_logits, indices)


def _classify(class_logits: tf.Tensor, threshold: float) -> _Queries:
  probabilities = tf.nn.softmax(class_logits)  # [q, c + 1]
  classes = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
  scores = tf.reduce_max(probabilities, axis=-1)
  no_object = tf.shape(class_logits)[-1] - 1
  return _Queries(scores, classes, (classes != no_object) & (scores > threshold))


def _compete(
  mask_logits: tf.Tensor, queries: _Queries, frame: Frame
) -> tuple[tf.Tensor, tf.Tensor]:
  """The winner of each pixel [h, w] and the area of each query's own mask [q], both int32."""
  logits = rows_of(tf.transpose(mask_logits, [1, 2, 0]), frame)
  scores = tf.cast(queries.scores, mask_logits.dtype)

  def rows(wanted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    masks = tf.sigmoid(logits(wanted))  # [r, w, q]
    weighted = tf.where(queries.kept, scores * masks, -1)
    own = tf.math.count_nonzero(masks >= 0.5, axis=1, dtype=tf.int32)  # [r, q]
    return tf.argmax(weighted, axis=-1, output_type=tf.int32), own

  owners, own_areas = by_stripes(rows, frame, (tf.int32, tf.int32))
  return owners, tf.reduce_sum(own_areas, axis=0)


def _holds(won: tf.Tensor, own: tf.Tensor, threshold: float) -> tf.Tensor:
  """Whether a query keeps enough of its own mask [q]; areas [q] in pixels."""
  # In float32 a share of millions of pixels can be rounded to the threshold.
  share = tf.cast(won, tf.float64) / tf.cast(tf.maximum(own, 1), tf.float64)
  return (won > 0) & (own > 0) & (share >= threshold)


def _founders(classes: tf.Tensor, alive: tf.Tensor, things: tf.Tensor) -> tf.Tensor:
  """For each query [q] the one whose segment it belongs to; of stuff the class's first alive."""
  is_thing = tf.gather(things, tf.minimum(classes, tf.size(things) - 1))  # No-object is not alive.
  same = (classes[:, None] == classes[None, :]) & alive[None, :]  # [q, q]
  first = tf.argmax(tf.cast(same, tf.int32), axis=1, output_type=tf.int32)
  return tf.where(is_thing, tf.range(tf.size(classes)), first)


def _number(
  queries: _Queries, owners: tf.Tensor, won: tf.Tensor, alive: tf.Tensor, founders: tf.Tensor
) -> Segmentation:
  """Numbers the segments in the order of their founders."""
  size = tf.size(founders)
  founds = alive & (founders == tf.range(size))
  ids = tf.where(alive, tf.gather(tf.cumsum(tf.cast(founds, tf.int32)), founders), 0)
  order = tf.argsort(tf.cast(~founds, tf.int32), stable=True)  # Founders first.
  taken = tf.gather(founds, order)
  return Segmentation(
    ids=tf.gather(ids, owners),
    count=tf.math.count_nonzero(founds, dtype=tf.int32),
    classes=tf.where(taken, tf.gather(queries.classes, order), -1),
    scores=tf.where(taken, tf.gather(queries.scores, order), 0),
    areas=tf.math.unsorted_segment_sum(won, ids, size + 1)[1:],
  )
