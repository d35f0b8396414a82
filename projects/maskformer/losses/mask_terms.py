"""Focal and dice loss of matched masks at full resolution, a few targets at a time.

Where the original enlarges all matched masks at once and keeps a dozen images of each for the
backward pass, here a loop takes `_TOGETHER` targets at a time and sums; the backward pass is a
second such loop. Padded targets are not visited. What is kept is the logits, nothing of full size.

Measured at 640 x 640 with room for 100 targets, forward and backward with the matching, beyond the
inputs, on a CPU: one image 0.32 GB, two 0.37 GB, one with five auxiliary outputs 0.41 GB; all at
once one image took 2.3 GB.
"""

import tensorflow as tf

from projects.maskformer.losses.resizing import bilinear, bilinear_adjoint

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
  focal, dice, total = _values(logits, queries, masks)

  def gradient(for_focal: tf.Tensor, for_dice: tf.Tensor) -> tuple:
    # By the quotient rule, of dice = 1 − (overlap + 1) / total.
    factors = (for_focal, for_dice / total, for_dice * (1 - dice) / total)
    return _gradients(logits, queries, masks, tf.stack(factors, axis=-1)), None, None

  return (focal, dice), gradient


# Fused by XLA, which holds a few images of full size; run op by op, the graph holds a dozen.
@tf.function(jit_compile=True, autograph=False)
def _values(
  logits: tf.Tensor, queries: tf.Tensor, masks: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """[b, n] focal loss, dice loss and the latter's denominator: 0, 0 and 1 where not matched."""
  pairs = _Pairs(logits, queries, masks)

  def add(turn: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    picked, target, live, places, _ = pairs.at(turn)
    parts = tf.stack(_sums(picked, target), axis=1) * live[:, None]
    return turn + 1, tf.tensor_scatter_nd_add(sums, places[:, None], parts)

  sums = tf.zeros([pairs.targets, 3], logits.dtype)
  _, sums = tf.while_loop(lambda turn, _: turn < pairs.turns, add, (0, sums))
  focal, overlap, total = (tf.reshape(part, pairs.shape) for part in tf.unstack(sums, axis=1))
  return focal, 1 - (overlap + 1) / (total + 1), total + 1


@tf.function(jit_compile=True, autograph=False)
def _gradients(
  logits: tf.Tensor, queries: tf.Tensor, masks: tf.Tensor, factors: tf.Tensor
) -> tf.Tensor:
  """Of the logits; factors [b, n, 3] as `_slope` takes them."""
  pairs = _Pairs(logits, queries, masks)
  factors = tf.reshape(factors, [-1, 3])

  def add(turn: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    picked, target, live, places, sources = pairs.at(turn)
    slope = _slope(picked, target, tf.gather(factors, places) * live[:, None])
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


def _sums(logits: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Focal loss, 2 · Σpm and Σp + Σm, each [k], of logits [k, h, w] and masks [k, height, width]."""
  large = bilinear(logits, *masks.shape[1:])
  inside = masks > 0
  missed, entropy = _missed(large, inside)
  focal = _alpha(inside, large.dtype) * missed * missed * entropy
  inside = tf.cast(inside, large.dtype)
  area = _total(inside)
  hit = area - _total(missed * inside)
  false = _total(missed * (1 - inside))
  pixels = masks.shape[1] * masks.shape[2]
  return _total(focal) / pixels, 2 * hit, hit + false + area


def _total(images: tf.Tensor) -> tf.Tensor:
  """[k, height, width] → [k], column by column: XLA on a CPU adds up whole images number after
  number, three times as slow; and the product keeps it from making one sum of the two."""
  columns = tf.reduce_sum(images, axis=1)
  return tf.squeeze(columns @ tf.ones([images.shape[2], 1], images.dtype), axis=1)


def _slope(logits: tf.Tensor, masks: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
  """Gradient [k, h, w] of the two losses, as `_sums` defines them.

  Written out: a tape's takes XLA on a CPU ten times as long.

  Args:
    logits: [k, h, w].
    masks: [k, height, width].
    factors: [k, 3], of the focal loss, of −Σpm's double and of Σp.
  """
  large = bilinear(logits, *masks.shape[1:])
  inside = masks > 0
  missed, entropy = _missed(large, inside)
  focal, overlap, share = tf.unstack(factors[:, :, None, None], axis=1)
  pixels = masks.shape[1] * masks.shape[2]
  change = missed * (2 * (1 - missed) * entropy + missed)
  slope = focal / pixels * _alpha(inside, large.dtype) * missed * change
  slope += missed * (1 - missed) * tf.where(inside, 2 * overlap - share, share)
  return bilinear_adjoint(tf.where(inside, -slope, slope), *logits.shape[1:])


def _missed(logits: tf.Tensor, inside: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Of each pixel the probability of being wrong and the cross-entropy; both losses follow."""
  wrong = tf.where(inside, -logits, logits)
  small = tf.exp(-tf.abs(wrong))
  larger = 1 / (1 + small)
  # XLA takes four times as long for log1p; where it would matter, the focal factor is nearly 0.
  return tf.where(wrong > 0, larger, small * larger), tf.nn.relu(wrong) - tf.math.log(larger)


def _alpha(inside: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  return tf.where(inside, tf.cast(FOCAL_ALPHA, dtype), 1 - FOCAL_ALPHA)
