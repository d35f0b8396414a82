"""The moving averages of a model's weights, started, and exchanged with the weights exactly."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from official.modeling import optimization


class WeightAverages:
  """Says whether the model holds its weights or their averages, and exchanges the two.

  TFMG's `ExponentialMovingAverage` deviates from what training needs in two ways, mended here:

  - Its `swap_weights` exchanges by arithmetic (a += b; b = a - b; a -= b), which rounds: each
    evaluation moves the weights that training goes on with. `exchange` moves the values.
  - Its averages start at zero. With a fixed decay of 0.9998 the average needs ten thousand steps
    to forget that. `start` makes them start from the weights.

  Which weights are averaged is the config's `ema.trainable_weights_only`. If it is true (TFMG's
  default), an evaluation joins averaged kernels with BatchNorm statistics of the kernels in
  training; false averages the statistics too, as the YOLO originals do.

  Attributes:
    pairs: each average with its weight.
    in_model: whether the model holds the averages now.

  Args:
    optimizer: an optimizer whose shadow variables exist already.
  """

  def __init__(self, optimizer: optimization.ExponentialMovingAverage) -> None:
    self.pairs = list(zip(optimizer._average_weights, optimizer._model_weights, strict=True))
    self.in_model = False

  def start(self) -> None:
    """Sets every average to its weight."""
    self._update(lambda average, weight: average.assign(weight))

  def exchange(self) -> None:
    """Exchanges weights and averages, bit for bit; call it in cross-replica context."""
    self._update(_exchange)
    self.in_model = not self.in_model

  def _update(self, fn: Callable[[tf.Variable, tf.Variable], Any]) -> None:
    extended = tf.distribute.get_strategy().extended
    for average, weight in self.pairs:
      extended.update(average, fn, args=(weight,), group=False)


def _exchange(average: tf.Variable, weight: tf.Variable) -> None:
  held = tf.identity(average)
  average.assign(weight)
  weight.assign(held)
