"""Precision in which sums over many values, and what a network returns, are kept."""

import tensorflow as tf


def wide(x: tf.Tensor) -> tf.Tensor:
  """`x` in at least float32."""
  return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
