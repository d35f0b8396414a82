"""Focal and dice loss of matched masks at full resolution, a few targets at a time.

Where the original enlarges all matched masks at once and keeps a dozen images of each for the
backward pass, here a loop takes `_TOGETHER` targets at a time and sums; the backward pass is a
second such loop. Padded targets are not visited. What is kept is the logits, nothing of full size.
"""

import tensorflow as tf

from projects.maskformer.losses.resizing import bilinear

FOCAL_ALPHA = 0.25  # Weight of a mask's pixels against the others' (Lin et al. 2017); gamma is 2.
_TOGETHER = 4  # Targets in memory at once: at 640 x 640, 6.6 MB for each image that is needed.


def mask_terms(
  logits: tf.Tensor, queries: tf.Tensor, masks: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Focal and dice loss of each target against the query that it is matched to.

  Logits are enlarged to the targets' size (bilinear, half-pixel centres), as in the original. The
  focal loss is the mean over all pixels, dice is 1 − (2 · Σpm + 1) / (Σp + Σm + 1).

  Args:
    logits: [b, q, h, w] float32 or float64, of masks; sizes static but for b.
    queries: [b, n] int32; negative for targets that are not matched. Not two the same in an image.
    masks: [b, n, height, width] uint8, 0 or 1.

  Returns:
    Two [b, n], 0 for targets that are not matched. Gradients go to the logits.
  """
  return _terms(logits, queries, masks)


@tf.custom_gradient
def _terms(logits: tf.Tensor, queries: tf.Tensor, masks: tf.Tensor) -> tuple:
  # Or tapes would ask for the gradients of the loops, too.
  logits = tf.stop_gradient(logits)

  def gradient(focal: tf.Tensor, dice: tf.Tensor) -> tuple:
    return _gradients(logits, queries, masks, focal, dice), None, None

  return _values(logits, queries, masks), gradient


# Fused by XLA, which holds a few images of full size; run op by op, the graph holds a dozen.
@tf.function(jit_compile=True, autograph=False)
def _values(logits: tf.Tensor, queries: tf.Tensor, masks: tf.Tensor) -> tuple:
  pairs = _Pairs(logits, queries, masks)

  def add(turn: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    picked, target, live, places, _ = pairs.at(turn)
    terms = tf.stack(_pair_terms(picked, target), axis=1) * live[:, None]
    return turn + 1, tf.tensor_scatter_nd_add(sums, places[:, None], terms)

  sums = tf.zeros([pairs.targets, 2], logits.dtype)
  _, sums = tf.while_loop(lambda turn, _: turn < pairs.turns, add, (0, sums))
  focal, dice = tf.unstack(sums, axis=1)
  return tf.reshape(focal, pairs.shape), tf.reshape(dice, pairs.shape)


@tf.function(jit_compile=True, autograph=False)
def _gradients(
  logits: tf.Tensor, queries: tf.Tensor, masks: tf.Tensor, focal: tf.Tensor, dice: tf.Tensor
) -> tf.Tensor:
  pairs = _Pairs(logits, queries, masks)
  factors = tf.reshape(tf.stack([focal, dice], axis=-1), [-1, 2])

  def add(turn: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    picked, target, live, places, sources = pairs.at(turn)
    with tf.GradientTape() as tape:
      tape.watch(picked)
      terms = _pair_terms(picked, target)
    factor = tf.gather(factors, places) * live[:, None]
    slope = tape.gradient(terms, picked, tf.unstack(factor, axis=1))
    return turn + 1, tf.tensor_scatter_nd_add(sums, sources[:, None], slope)

  sums = tf.zeros_like(pairs.logits)
  _, sums = tf.while_loop(lambda turn, _: turn < pairs.turns, add, (0, sums))
  return tf.reshape(sums, tf.shape(logits))


class _Pairs:
  """Targets of the whole batch in one row, those that are matched first, by the turn."""

  def __init__(self, logits: tf.Tensor, queries: tf.Tensor, masks: tf.Tensor) -> None:
    self.shape = tf.shape(queries)
    self.targets = self.shape[0] * self.shape[1]
    self.logits = tf.reshape(logits, [-1, *logits.shape[2:]])  # [b · q, h, w]
    self._masks = tf.reshape(masks, [-1, *masks.shape[2:]])  # [b · n, height, width]
    image = tf.range(self.shape[0])[:, None]
    self._sources = tf.reshape(image * logits.shape[1] + tf.maximum(queries, 0), [-1])
    matched = tf.reshape(queries >= 0, [-1])
    self._order = tf.argsort(tf.cast(~matched, tf.int32), stable=True)
    self._count = tf.reduce_sum(tf.cast(matched, tf.int32))
    self.turns = (self._count + _TOGETHER - 1) // _TOGETHER

  def at(self, turn: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Logits [k, h, w], masks [k, height, width], 1 or 0 for beyond the last [k], places among the
    targets [k] and among the logits [k]."""
    rank = turn * _TOGETHER + tf.range(_TOGETHER)
    live = tf.cast(rank < self._count, self.logits.dtype)
    places = tf.gather(self._order, tf.minimum(rank, self.targets - 1))
    sources = tf.gather(self._sources, places)
    return (
      tf.gather(self.logits, sources),
      tf.gather(self._masks, places),
      live,
      places,
      sources,
    )


def _pair_terms(logits: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Focal and dice loss [k] of logits [k, h, w] and masks [k, height, width]."""
  height, width = masks.shape[1:]
  logits = bilinear(logits, height, width)
  inside = masks > 0
  # The logit of being wrong: both losses are functions of it and of the side.
  wrong = tf.where(inside, -logits, logits)
  missed, entropy = tf.sigmoid(wrong), tf.nn.softplus(wrong)
  alpha = tf.where(inside, tf.cast(FOCAL_ALPHA, logits.dtype), 1 - FOCAL_ALPHA)
  focal = tf.reduce_sum(alpha * missed * missed * entropy, axis=[1, 2]) / (height * width)
  hit = tf.where(inside, 1 - missed, 0)
  shares = tf.reduce_sum(tf.where(inside, hit, missed), axis=[1, 2])
  area = tf.reduce_sum(tf.cast(masks, logits.dtype), axis=[1, 2])
  dice = 1 - (2 * tf.reduce_sum(hit, axis=[1, 2]) + 1) / (shares + area + 1)
  return focal, dice
