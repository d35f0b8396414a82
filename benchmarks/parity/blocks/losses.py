"""MaskFormer's losses (Cheng et al. 2021, sec. 3.2) of predictions already matched to objects."""

import tensorflow as tf

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0  # Lin et al. 2017.
WEIGHTS = {"class": 1.0, "mask": 20.0, "dice": 1.0}
NO_OBJECT_WEIGHT = 0.1


def dice_loss(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  """1 − (2 · Σpm + 1) / (Σp + Σm + 1), mean over objects (Milletari et al. 2016).

  Args:
    logits: [n, pixels].
    masks: [n, pixels], 0 or 1.
  """
  shares = tf.sigmoid(logits)
  overlap = 2 * tf.reduce_sum(shares * masks, axis=-1)
  total = tf.reduce_sum(shares, axis=-1) + tf.reduce_sum(masks, axis=-1)
  return tf.reduce_mean(1 - (overlap + 1) / (total + 1))


def focal_loss(logits: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
  """Sigmoid focal loss, mean over pixels and objects; arguments as of `dice_loss`."""
  entropy = tf.nn.sigmoid_cross_entropy_with_logits(masks, logits)
  shares = tf.sigmoid(logits)
  missed = shares * (1 - masks) + (1 - shares) * masks
  alpha = FOCAL_ALPHA * masks + (1 - FOCAL_ALPHA) * (1 - masks)
  return tf.reduce_mean(alpha * missed**FOCAL_GAMMA * entropy)


def class_loss(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
  """Cross-entropy, a weighted mean: queries without an object weigh `NO_OBJECT_WEIGHT`.

  Args:
    logits: [b, q, classes + 1].
    classes: [b, q] int; the last class is "no object".
  """
  entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
  no_object = classes == logits.shape[-1] - 1
  weights = tf.where(no_object, tf.constant(NO_OBJECT_WEIGHT, logits.dtype), 1)
  return tf.reduce_sum(weights * entropy) / tf.reduce_sum(weights)


def matched_classes(
  labels: tf.Tensor, queries: tf.Tensor, num_queries: int, no_object: int
) -> tf.Tensor:
  """[b, n] labels of objects and the query that each is matched to → [b, num_queries] int."""
  hit = tf.one_hot(queries, num_queries, dtype=labels.dtype)  # [b, n, q]
  placed = tf.reduce_sum(hit * labels[..., None], axis=1)
  return tf.where(tf.reduce_sum(hit, axis=1) > 0, placed, no_object)


def resize_bilinear(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """[n, h, w] → [n, height, width], pixel centres half a pixel from the border."""
  rows = _interpolation(x.shape[1], height, x.dtype)
  columns = _interpolation(x.shape[2], width, x.dtype)
  return tf.einsum("yh,nhw,xw->nyx", rows, x, columns)


def _interpolation(source: int, target: int, dtype: tf.DType) -> tf.Tensor:
  """[target, source] weights of linear interpolation: exact in float64, matrix products on TPUs."""
  place = (tf.range(target, dtype=tf.float64) + 0.5) * source / target - 0.5
  place = tf.clip_by_value(place, 0, source - 1)
  distance = tf.abs(place[:, None] - tf.range(source, dtype=tf.float64)[None])
  return tf.cast(tf.maximum(1 - distance, 0), dtype)


def maskformer_losses(
  outputs: dict[str, tf.Tensor], labels: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
  """The weighted terms and their sum.

  Args:
    outputs: class_logits [b, q, classes + 1], mask_logits [b, q, h, w].
    labels: classes [b, n] int, masks [b, n, H, W] float and queries [b, n] int: which query each
      object is matched to.

  Returns:
    Scalars `class`, `mask`, `dice` and `total`.
  """
  logits = outputs["class_logits"]
  classes = matched_classes(
    labels["classes"], labels["queries"], logits.shape[1], logits.shape[2] - 1
  )
  height, width = labels["masks"].shape[2:]
  picked = tf.gather(outputs["mask_logits"], labels["queries"], batch_dims=1)
  picked = resize_bilinear(tf.reshape(picked, [-1, *picked.shape[2:]]), height, width)
  picked = tf.reshape(picked, [-1, height * width])
  masks = tf.cast(tf.reshape(labels["masks"], [-1, height * width]), picked.dtype)
  terms = {
    "class": WEIGHTS["class"] * class_loss(logits, classes),
    "mask": WEIGHTS["mask"] * focal_loss(picked, masks),
    "dice": WEIGHTS["dice"] * dice_loss(picked, masks),
  }
  return terms | {"total": tf.add_n(list(terms.values()))}
