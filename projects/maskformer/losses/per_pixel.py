"""The per-pixel baselines' loss (Cheng et al. 2021, sec. 4.1): cross-entropy of each pixel."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from projects.maskformer.dataloaders.targets import IGNORE
from projects.maskformer.losses.resizing import bilinear_of_channels


def per_pixel_loss(
  outputs: Mapping[str, Any], targets: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
  """The loss and, where earlier layers are supervised, its terms.

  Logits are enlarged to the labels' size (bilinear, half-pixel centres). As in the original the
  mean is over the pixels of a replica that have a label; losses and gradients of replicas are to be
  averaged. Where no pixel has a label the loss is 0 (the original: not a number).

  Args:
    outputs: `semantic_logits` [b, h, w, classes] of any float type, sizes static but for b, and
      where earlier layers are supervised `auxiliary`, a list of mappings of this one.
    targets: `semantic` [b, height, width] int32, `IGNORE` where nothing is to be learnt.

  Returns:
    Scalars, float64 where the logits are, else float32: `semantic_loss`, the same with `_0`, `_1`,
    … for the auxiliary outputs, and `total_loss`, their sum.
  """
  semantic = targets["semantic"]
  losses = {"semantic_loss": _cross_entropy(outputs["semantic_logits"], semantic)}
  for index, auxiliary in enumerate(outputs.get("auxiliary", ())):
    losses[f"semantic_loss_{index}"] = _cross_entropy(auxiliary["semantic_logits"], semantic)
  return losses | {"total_loss": tf.add_n(list(losses.values()))}


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  if logits.dtype != tf.float64:
    logits = tf.cast(logits, tf.float32)
  logits = bilinear_of_channels(logits, *labels.shape[1:])
  counts = labels != IGNORE
  entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(counts, labels, 0), logits)
  number = tf.reduce_sum(tf.cast(counts, logits.dtype))
  return tf.reduce_sum(tf.where(counts, entropy, 0)) / tf.maximum(number, 1)
