"""Loads a checkpoint's weights as an evaluation of its run used them."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.modeling import optimization
from official.training import checkpoints
from official.training.averages import WeightAverages

# What TensorFlow raises for other models (the first two) and for damaged files.
_UNUSABLE = (AssertionError, ValueError, IndexError, RuntimeError, tf.errors.OpError)


def load(model: tf_keras.Model, prefix: str, parts: Sequence[str] = ()) -> None:
  """Fills `model` from a checkpoint of training or a best checkpoint.

  A checkpoint of training holds the weights and, if the experiment averages, their moving averages:
  then the averages are loaded. A best checkpoint holds what was evaluated.

  Args:
    model: with its variables made.
    prefix: of the checkpoint.
    parts: attributes of the model, layers, that are filled, the rest stays; none: all.

  Raises:
    UserError: it cannot be read, or is of another model.
  """
  try:
    layers = {part: getattr(model, part) for part in parts}
    filled = tf.train.Checkpoint(**layers) if parts else model
    status = tf.train.Checkpoint(model=filled).read(prefix)
    status.expect_partial().assert_existing_objects_matched()
    if checkpoints.has_averages(prefix):
      _load_averages(model, filled, prefix)
  except _UNUSABLE as error:
    raise UserError(
      f"{prefix} cannot be loaded ({str(error).splitlines()[0]}); if it is whole, it is of another "
      "model: name the experiment, and the settings, that it was trained with"
    ) from error


def _load_averages(
  model: tf_keras.Model, filled: tf_keras.Model | tf.train.Checkpoint, prefix: str
) -> None:
  optimizer = optimization.ExponentialMovingAverage(
    tf_keras.optimizers.legacy.SGD(), trainable_weights_only=False
  )
  optimizer.shadow_copy(model)
  averages = WeightAverages(optimizer)
  averages.start()  # For those that the experiment does not average, or that are not filled.
  tf.train.Checkpoint(model=filled, optimizer=optimizer).read(prefix).expect_partial()
  averages.exchange()
