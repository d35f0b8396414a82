"""Dropout and stochastic depth."""

from collections.abc import Sequence

import tensorflow as tf


def dropout(
  x: tf.Tensor, rate: float, training: bool, shape: Sequence[int | tf.Tensor] | None = None
) -> tf.Tensor:
  """Zeroes a share of `x` in training and enlarges the rest, so that the mean stays.

  What to drop is drawn in float32: `tf.nn.dropout` draws it in bfloat16 where `x` is, and drops 1.6
  % more than it should.

  Args:
    x: of any shape and float dtype.
    rate: share that is dropped, in 0..1, 1 excluded.
    training: False: `x` as it is.
    shape: of what is drawn, broadcastable to that of `x`; None: the same.
  """
  if not training or not rate:
    return x
  kept = tf.random.uniform(tf.shape(x) if shape is None else shape) >= rate
  return tf.where(kept, x * (1 / (1 - rate)), tf.zeros([], x.dtype))


def drop_path(x: tf.Tensor, rate: float, training: bool) -> tf.Tensor:
  """Stochastic depth (Huang et al. 2016): whole images are dropped from [b, h, w, c]."""
  return dropout(x, rate, training, [tf.shape(x)[0], 1, 1, 1])
