"""Which segments of a view are targets, and targets as the losses want them.

The pipeline sends one number a pixel, not a mask a segment: a hundred masks of 640 x 640 are 41 MB
an image. `expand` makes masks of them in the train step, on the device.
"""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from official.datasets.masks import MAX_SEGMENTS

IGNORE = -1  # In `semantic`: a pixel that counts for nothing.


class Chosen(NamedTuple):
  """n targets of an image.

  Attributes:
    classes: [n] int32, -1 where not valid.
    places: [n] int32, by which the pixels name them; 0 where not valid.
    valid: [n] bool; valid targets come first, in the order of the annotation.
    dropped: () int32, how many there was no room for.
  """

  classes: tf.Tensor
  places: tf.Tensor
  valid: tf.Tensor
  dropped: tf.Tensor


def choose(
  seen: tf.Tensor, classes: tf.Tensor, is_crowd: tf.Tensor, room: int, keep_absent: bool
) -> Chosen:
  """Chooses targets: no crowds; where there is no room for all, the smallest are dropped.

  Args:
    seen: [h, w] uint8, the segment of each pixel that is seen, by its place from 1.
    classes: [n] int32, of all segments of the image.
    is_crowd: [n] bool.
    room: n of what is returned.
    keep_absent: whether segments without a pixel are targets.
  """
  area = tf.math.bincount(tf.cast(seen, tf.int32), minlength=MAX_SEGMENTS + 1)[1:]
  missing = [[0, MAX_SEGMENTS - tf.shape(classes)[0]]]
  usable = tf.pad(~is_crowd, missing) & (keep_absent | (area > 0))
  ranks, best = tf.math.top_k(tf.where(usable, area + 1, 0), room)  # Of equals the first ones.
  order = tf.sort(tf.where(ranks > 0, best, MAX_SEGMENTS))
  valid = order < MAX_SEGMENTS
  return Chosen(
    classes=tf.gather(tf.pad(classes, [[0, missing[0][1] + 1]], constant_values=-1), order),
    places=tf.where(valid, order + 1, 0),
    valid=valid,
    dropped=tf.maximum(tf.reduce_sum(tf.cast(usable, tf.int32)) - room, 0),
  )


def expand(labels: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """A batch's labels as the losses want them; to be called in the step, on the device.

  Args:
    labels: of `maskformer_input`.

  Returns:
    classes [b, n] int32, masks [b, n, h, w] uint8 (0 or 1; zeros where not valid), valid [b, n]
    bool, padding [b, h, w] bool, and for per-pixel models semantic [b, h, w] int32, `IGNORE` where
    no target is.
  """
  places = tf.cast(tf.where(labels["valid"], labels["places"], 0), tf.uint8)[..., None, None]
  is_there = (labels["segments"][:, None] == places) & labels["valid"][..., None, None]
  return {
    "classes": labels["classes"],
    "masks": tf.cast(is_there, tf.uint8),
    "valid": labels["valid"],
    "padding": labels["padding"],
    "semantic": _semantic(labels),
  }


def _semantic(labels: Mapping[str, tf.Tensor]) -> tf.Tensor:
  """The class of each pixel, looked up: reducing masks would take n times the memory."""
  named = labels["valid"][..., None] & (labels["places"][..., None] == tf.range(MAX_SEGMENTS + 1))
  table = tf.reduce_max(tf.where(named, labels["classes"][..., None] - IGNORE, 0), 1) + IGNORE
  return tf.gather(table, tf.cast(labels["segments"], tf.int32), batch_dims=1)
