"""MaskFormer's loss (Cheng et al. 2021, sec. 3.2 and A): classification, focal and dice loss.

Every output of the decoder that is supervised is matched by itself. As in the original, mask terms
are sums over targets, divided by the number of targets of a replica, on average over the replicas
and at least 1; the classification is a weighted mean over the replica's own queries. Losses and
gradients of replicas are to be averaged.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from projects.maskformer.losses.mask_terms import mask_terms
from projects.maskformer.losses.matcher import LossWeights, match

Targets = Mapping[str, tf.Tensor]
TERMS = ("class_loss", "mask_loss", "dice_loss")


def maskformer_loss(
  outputs: Mapping[str, Any], targets: Targets, weights: LossWeights
) -> dict[str, tf.Tensor]:
  """The loss and its terms; for memory see `mask_terms`.

  Args:
    outputs: `class_logits` [b, q, classes + 1] (no object is the last), `mask_logits` [b, q, h, w],
      and where earlier layers are supervised `auxiliary`, a list of mappings of these two.
    targets: `classes` [b, n] int32 (anything where not valid), `masks` [b, n, height, width] uint8
      and `valid` [b, n] bool. No target at all is a loss as any other.
    weights: of the terms.

  Returns:
    Scalars, float64 where the logits are, else float32: `class_loss`, `mask_loss`, `dice_loss`,
    the same with `_0`, `_1`, … for the auxiliary outputs, all without weights; and `total_loss`,
    the weighted sum of all.
  """
  count = _targets_of_a_replica(targets["valid"], _precision(outputs["mask_logits"]))
  losses = _terms(outputs, targets, weights, count)
  for index, auxiliary in enumerate(outputs.get("auxiliary", ())):
    terms = _terms(auxiliary, targets, weights, count)
    losses |= {f"{name}_{index}": term for name, term in terms.items()}
  factors = dict(zip(TERMS, (weights.classes, weights.mask, weights.dice), strict=True))
  weighted = [
    factor * term
    for name, term in losses.items()
    for base, factor in factors.items()
    if name.startswith(base)
  ]
  return losses | {"total_loss": tf.add_n(weighted)}


def _terms(
  outputs: Mapping[str, tf.Tensor], targets: Targets, weights: LossWeights, count: tf.Tensor
) -> dict[str, tf.Tensor]:
  queries = match(outputs, targets, weights)
  logits = tf.cast(outputs["mask_logits"], count.dtype)
  focal, dice = mask_terms(logits, queries, targets["masks"])
  terms = (
    class_loss(outputs["class_logits"], targets["classes"], queries, weights.no_object),
    tf.reduce_sum(focal) / count,
    tf.reduce_sum(dice) / count,
  )
  return dict(zip(TERMS, terms, strict=True))


def class_loss(
  logits: tf.Tensor, classes: tf.Tensor, queries: tf.Tensor, no_object_weight: float
) -> tf.Tensor:
  """Cross-entropy, the mean over queries weighted as PyTorch's: by the weight of their class.

  Args:
    logits: [b, q, classes + 1].
    classes: [b, n] int32 of the targets.
    queries: [b, n] int32 that targets are matched to; negative for those that are not.
    no_object_weight: of queries without a target; the others weigh 1.
  """
  logits = tf.cast(logits, _precision(logits))
  labels, is_object = _labels(classes, queries, logits.shape[1], logits.shape[2] - 1)
  entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
  weights = tf.where(is_object, tf.cast(1, logits.dtype), no_object_weight)
  return tf.reduce_sum(weights * entropy) / tf.reduce_sum(weights)


def _labels(
  classes: tf.Tensor, queries: tf.Tensor, num_queries: int, no_object: int
) -> tuple[tf.Tensor, tf.Tensor]:
  """[b, q] class of each query, and whether it has a target."""
  hit = tf.range(num_queries) == queries[..., None]  # [b, n, q]
  placed = tf.reduce_sum(tf.where(hit, classes[..., None], 0), axis=1)
  is_object = tf.reduce_any(hit, axis=1)
  return tf.where(is_object, placed, no_object), is_object


def _targets_of_a_replica(valid: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  count = tf.reduce_sum(tf.cast(valid, dtype))
  context = tf.distribute.get_replica_context()
  if context is not None and context.num_replicas_in_sync > 1:
    count = context.all_reduce(tf.distribute.ReduceOp.MEAN, count)
  return tf.maximum(count, 1)


def _precision(logits: tf.Tensor) -> tf.DType:
  """bfloat16 has too few digits for sums over pixels."""
  return tf.float64 if logits.dtype == tf.float64 else tf.float32
