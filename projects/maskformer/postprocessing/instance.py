"""Instance segmentation: masks with class and score, which may overlap.

The original has no rule for it. This is the one that transformers documents
(`post_process_instance_segmentation`): the most probable pairs of query and class, as many as there
are queries, each scored by class probability times the mean mask probability inside the mask, the
mask being where the logit is above zero.

Deviation: transformers makes the masks at the network's stride and enlarges them to the nearest
pixel; here logits are brought to the image's size first, as for the other two tasks. Where nothing
is resized, both are the same. Classes can be left out: a panoptic model's stuff is no instance.
"""

from typing import NamedTuple

import tensorflow as tf

from projects.maskformer.postprocessing.resizing import Frame, by_stripes, rows_of

_TINY = 1e-6  # Added to a mask's area, so that none divides by zero.


class Instances(NamedTuple):
  """What was found in an image, the best class probability first.

  Attributes:
    scores: [k] float in 0..1.
    classes: [k] int32.
    queries: [k] int32, whose mask it is.
    masks: [h, w, q] bool, of the queries; the mask of row i is `masks[..., queries[i]]`.
  """

  scores: tf.Tensor
  classes: tf.Tensor
  queries: tf.Tensor
  masks: tf.Tensor


def instances(
  class_logits: tf.Tensor, mask_logits: tf.Tensor, frame: Frame, things: tf.Tensor
) -> Instances:
  """Finds the instances of one image at its original size; an empty mask scores 0.

  Args:
    class_logits: [q, c + 1] float, no-object last.
    mask_logits: [q, h, w] float, of the whole padded input.
    frame: of the image.
    things: [c] bool, the classes that count; at least one.

  Returns:
    as many as there are queries.
  """
  probabilities = tf.where(things, tf.nn.softmax(class_logits)[:, :-1], -1)  # [q, c]
  queries, classes = tf.shape(probabilities)[0], tf.shape(probabilities)[1]
  best, pairs = tf.math.top_k(tf.reshape(probabilities, [-1]), queries)
  masks, mask_scores = _masks(mask_logits, frame)
  chosen = pairs // classes
  scores = best * tf.cast(tf.gather(mask_scores, chosen), best.dtype)
  return Instances(scores, pairs % classes, chosen, masks)


def _masks(mask_logits: tf.Tensor, frame: Frame) -> tuple[tf.Tensor, tf.Tensor]:
  """Masks [h, w, q] bool and the mean probability inside each [q]."""
  logits = rows_of(tf.transpose(mask_logits, [1, 2, 0]), frame)

  def rows(wanted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    values = logits(wanted)  # [r, w, q]
    inside = tf.where(values > 0, tf.sigmoid(values), 0)
    return values > 0, tf.reduce_sum(inside, axis=1)

  masks, sums = by_stripes(rows, frame, (tf.bool, mask_logits.dtype))
  areas = tf.math.count_nonzero(masks, axis=[0, 1], dtype=tf.int32)
  return masks, tf.reduce_sum(sums, axis=0) / (tf.cast(areas, mask_logits.dtype) + _TINY)
