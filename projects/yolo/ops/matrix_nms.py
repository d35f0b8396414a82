"""Matrix suppression (SOLOv2, Wang et al. 2020, section 3.3): scores decay, in one step."""

import tensorflow as tf

_SIGMA = 0.5  # The paper's; its code multiplies by 2 instead.
_TINY = 1e-9  # Keeps the quotient finite where two boxes are equal.


def linear(overlap: tf.Tensor) -> tf.Tensor:
  """The paper's linear decay, f = 1 − IoU, above 0."""
  return tf.maximum(1 - overlap, _TINY)


def gaussian(overlap: tf.Tensor) -> tf.Tensor:
  """The paper's Gaussian decay, f = exp(−IoU² / σ)."""
  return tf.exp(-tf.square(overlap) / _SIGMA)


DECAYS = {"matrix_linear": linear, "matrix_gaussian": gaussian}


def decay(overlap: tf.Tensor, scores: tf.Tensor, kind: str) -> tf.Tensor:
  """Scores after each box's overlap with better ones (eq. 5 of the paper).

  Box j decays by the least f(IoU_ij) / f(the greatest IoU of i with a box before it) over the boxes
  i before it: what is probably suppressed itself suppresses little.

  Args:
    overlap: [b, k, k] IoU of boxes, best first; 0 between boxes of different classes.
    scores: [b, k], descending.
    kind: name in `DECAYS`.

  Returns:
    [b, k] scores, no longer in order.
  """
  before = tf.linalg.band_part(overlap, 0, -1) - tf.linalg.band_part(overlap, 0, 0)
  suppressed = tf.reduce_max(before, axis=1)  # [b, i]: i's own greatest overlap.
  factors = DECAYS[kind](before) / DECAYS[kind](suppressed)[:, :, None]
  # From i behind j the quotient is 1 or more, and the first box gives each j one of at most 1.
  return scores * tf.reduce_min(factors, axis=1)
