"""The per-pixel baselines' loss (Cheng et al. 2021, sec. 4.1): cross-entropy of each pixel."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from projects.maskformer.dataloaders.targets import IGNORE
from projects.maskformer.losses.resizing import bilinear_of_planes


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
  """Planes of classes, not pixels of them, are enlarged: a TPU fills rows of 128 numbers up, and so
  would keep 256 of 150 classes. Summing over planes costs it nothing."""
  if logits.dtype != tf.float64:
    logits = tf.cast(logits, tf.float32)
  planes = bilinear_of_planes(tf.transpose(logits, [0, 3, 1, 2]), *labels.shape[1:])
  classes = tf.range(planes.shape[1])[:, None, None]
  chosen = tf.reduce_sum(tf.where(labels[:, None] == classes, planes, 0), axis=1)
  counts = labels != IGNORE
  entropy = tf.where(counts, tf.reduce_logsumexp(planes, axis=1) - chosen, 0)
  return tf.reduce_sum(entropy) / tf.maximum(tf.reduce_sum(tf.cast(counts, planes.dtype)), 1)
