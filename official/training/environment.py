"""What must be set before a model is built: log level, seeds, determinism, precision, strategy."""

import logging as python_logging
import textwrap

import absl.logging
import orbit.controller
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.common import distribute_utils
from official.core import config_definitions
from official.modeling import performance


def quiet() -> None:
  """Silences the notes of TensorFlow, Keras, absl and Orbit; errors, and all of ours, stay."""
  absl.logging.set_verbosity(absl.logging.ERROR)
  tf.get_logger().setLevel(python_logging.ERROR)
  # Orbit prints each message to stdout, which belongs to the command's result.
  orbit.controller._log = absl.logging.info


def prepare(params: config_definitions.ExperimentConfig) -> tf.distribute.Strategy:
  """Sets seeds, determinism and precision, and makes the strategy, as `params` say.

  The seed of everything is `task.train_data.seed` (none is 0). With ops made deterministic, a run
  is a function of the experiment, on one kind of machine.
  """
  tf_keras.utils.set_random_seed(params.task.train_data.seed or 0)
  runtime = params.runtime
  # A TPU's programs are deterministic; asked to be, XLA refuses the gradient of max-pooling.
  if runtime.distribution_strategy != "tpu":
    tf.config.experimental.enable_op_determinism()
  if runtime.mixed_precision_dtype:
    performance.set_mixed_precision_policy(runtime.mixed_precision_dtype)
  try:
    return _strategy(runtime)
  except (ValueError, KeyError, tf.errors.OpError) as error:
    reason = textwrap.shorten(str(error), 150, placeholder=" …")
    raise UserError(
      f"cannot start runtime.distribution_strategy={runtime.distribution_strategy}: {reason}"
    ) from error


def _strategy(runtime: config_definitions.RuntimeConfig) -> tf.distribute.Strategy:
  distribute_utils.configure_cluster(runtime.worker_hosts, runtime.task_index)
  return distribute_utils.get_distribution_strategy(
    distribution_strategy=runtime.distribution_strategy,
    all_reduce_alg=runtime.all_reduce_alg,
    num_gpus=runtime.num_gpus,
    num_packs=runtime.num_packs,
    tpu_address=runtime.tpu,
  )
