"""Semantic segmentation: a score for each class at each pixel, and the best class.

The original's rule (`semantic_inference`): a class's score is the sum over the queries of class
probability, without no-object, times mask probability. The original brings either the masks or the
sums to the image's own size: the masks for models that segment panoptically too, the sums for all
others.
"""

import tensorflow as tf

from projects.maskformer.postprocessing.resizing import Frame, Rows, by_stripes, rows_of


def semantic_rows(
  class_logits: tf.Tensor, mask_logits: tf.Tensor, frame: Frame, resize_masks: bool
) -> Rows:
  """The scores of one image by rows, for `scores` and `labels`.

  Args:
    class_logits: [q, c + 1] float, no-object last.
    mask_logits: [q, h, w] float, of the whole padded input.
    frame: of the image.
    resize_masks: to the original size the masks are brought, not the sums.

  Returns:
    from rows [r] int32 of the original image → scores [r, width, c].
  """
  classes = tf.nn.softmax(class_logits)[:, :-1]  # [q, c]
  logits = tf.transpose(mask_logits, [1, 2, 0])

  def combine(values: tf.Tensor) -> tf.Tensor:
    return tf.einsum("hwq,qc->hwc", tf.sigmoid(values), classes)

  if not resize_masks:
    return rows_of(logits, frame, combine)
  masks = rows_of(logits, frame)
  return lambda rows: combine(masks(rows))


def per_pixel_rows(semantic_logits: tf.Tensor, frame: Frame) -> Rows:
  """The same for a per-pixel baseline: its logits, resized.

  Args:
    semantic_logits: [h, w, c] float, of the whole padded input.
    frame: of the image.
  """
  return rows_of(semantic_logits, frame)


def scores(rows: Rows, frame: Frame, dtype: tf.DType = tf.float32) -> tf.Tensor:
  """All scores [h, w, c] `dtype` at the original size: 180 MB for 150 classes at 640x480."""
  return by_stripes(rows, frame, dtype)


def labels(rows: Rows, frame: Frame) -> tf.Tensor:
  """The best class of each pixel [h, w] int32 at the original size; of equal ones the first."""

  def best(wanted: tf.Tensor) -> tf.Tensor:
    return tf.argmax(rows(wanted), axis=-1, output_type=tf.int32)

  return by_stripes(best, frame, tf.int32)
