"""Which query answers for which target: the cheapest assignment (Cheng et al. 2021, sec. 3.2)."""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf

from projects.maskformer.losses.mask_terms import FOCAL_ALPHA
from projects.maskformer.losses.resizing import nearest
from projects.maskformer.ops.assignment import assign


@dataclasses.dataclass(frozen=True)
class LossWeights:
  """Weights of the terms, in the loss and in the cost of matching; the defaults are the paper's.

  Attributes:
    classes: of the classification.
    mask: of the focal loss.
    dice: of the dice loss.
    no_object: of queries without a target within the classification loss.
  """

  classes: float = 1.0
  mask: float = 20.0
  dice: float = 1.0
  no_object: float = 0.1


def match(
  outputs: Mapping[str, tf.Tensor], targets: Mapping[str, tf.Tensor], weights: LossWeights
) -> tf.Tensor:
  """The query of each target.

  Args:
    outputs: `class_logits` [b, q, classes + 1] and `mask_logits` [b, q, h, w], of any float type.
    targets: `classes` [b, n] int32, `masks` [b, n, height, width] uint8 and `valid` [b, n] bool.
    weights: of the costs.

  Returns:
    [b, n] int32, −1 where not valid; no gradient. See `assign` for logits that are not finite.
  """
  cost = matching_cost(
    tf.stop_gradient(outputs["class_logits"]),
    tf.stop_gradient(outputs["mask_logits"]),
    tf.where(targets["valid"], targets["classes"], 0),
    nearest(targets["masks"], *outputs["mask_logits"].shape[2:]),
    weights,
  )
  return assign(cost, targets["valid"])


def matching_cost(
  class_logits: tf.Tensor,
  mask_logits: tf.Tensor,
  classes: tf.Tensor,
  masks: tf.Tensor,
  weights: LossWeights,
) -> tf.Tensor:
  """Cost of each pair, [b, q, n]: −probability of the class, focal and dice loss of the mask.

  As in the original the masks are compared at the size of the predictions.

  Args:
    class_logits: [b, q, classes + 1].
    mask_logits: [b, q, h, w].
    classes: [b, n] int32.
    masks: [b, n, h, w] uint8.
    weights: of the costs.
  """
  dtype = tf.float64 if mask_logits.dtype == tf.float64 else tf.float32
  focal, dice = _mask_costs(tf.cast(mask_logits, dtype), masks)
  probability = tf.nn.softmax(tf.cast(class_logits, dtype))
  chosen = tf.gather(probability, classes, axis=2, batch_dims=1)  # [b, q, n]
  return weights.mask * focal - weights.classes * chosen + weights.dice * dice


@tf.function(jit_compile=True, autograph=False)  # Fused: a third of the graph's memory.
def _mask_costs(logits: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  pixels = logits.shape[2] * logits.shape[3]
  logits = tf.reshape(logits, [-1, logits.shape[1], pixels])
  masks = tf.cast(tf.reshape(masks, [-1, masks.shape[1], pixels]), logits.dtype)
  share, rest = tf.sigmoid(logits), tf.nn.softplus(-tf.abs(logits))
  inside = FOCAL_ALPHA * tf.square(1 - share) * (rest + tf.nn.relu(-logits))
  outside = (1 - FOCAL_ALPHA) * tf.square(share) * (rest + tf.nn.relu(logits))
  # Σ inside · m + Σ outside · (1 − m), in one product.
  focal = tf.matmul(inside - outside, masks, transpose_b=True)
  focal = (focal + tf.reduce_sum(outside, axis=2, keepdims=True)) / pixels
  overlap = 2 * tf.matmul(share, masks, transpose_b=True)
  total = tf.reduce_sum(share, axis=2, keepdims=True) + tf.reduce_sum(masks, axis=2)[:, None]
  return focal, 1 - (overlap + 1) / (total + 1)
