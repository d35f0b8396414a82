"""Which checkpoint to go on from: the newest one that reads back whole."""

import os
import re
import sys

import tensorflow as tf
from tensorflow.python.checkpoint.checkpoint_management import update_checkpoint_state_internal

from official.cli.errors import UserError


def newest_whole(directory: str) -> str | None:
  """The prefix of the newest checkpoint in `directory` whose every tensor passes its checksum.

  Says on stderr which newer ones are damaged.

  Raises:
    UserError: there are checkpoints, and none of them is whole.
  """
  found = _checkpoints(directory)
  for prefix in found:
    problem = _problem(prefix)
    if problem is None:
      return prefix
    print(f"{prefix} is damaged ({problem}); trying the one before", file=sys.stderr)
  if found:
    raise UserError(f"no checkpoint in {directory} can be read; remove them or name another folder")
  return None


def make_newest(prefix: str) -> None:
  """Makes `prefix` the newest checkpoint of its folder's records.

  A kill between the writing of a checkpoint and of the record, or a damaged checkpoint, leaves
  a record that names another one.
  """
  directory = os.path.dirname(prefix)
  kept = [path for path in reversed(_checkpoints(directory)) if step(path) <= step(prefix)]
  update_checkpoint_state_internal(
    directory,
    prefix,
    kept,
    save_relative_paths=True,
    # Later than `last_preserved_timestamp`, or the manager would never delete them.
    all_model_checkpoint_timestamps=[_written(path) for path in kept],
    last_preserved_timestamp=0.0,
  )


def step(prefix: str) -> int:
  """The global step of the checkpoint `prefix`, from its name."""
  return int(prefix.rpartition("-")[2])


def has_averages(prefix: str) -> bool:
  """Whether the checkpoint holds moving averages of the weights."""
  return any(".OPTIMIZER_SLOT/optimizer/average/" in n for n, _ in tf.train.list_variables(prefix))


def _written(prefix: str) -> float:
  return tf.io.gfile.stat(f"{prefix}.index").mtime_nsec / 1e9


def _checkpoints(directory: str) -> list[str]:
  """Prefixes of the checkpoints in `directory` (`ckpt-*`, `best_ckpt-*`), the newest first."""
  paths = tf.io.gfile.glob(os.path.join(directory, "*ckpt-*.index"))
  prefixes = [path.removesuffix(".index") for path in paths]
  return sorted((p for p in prefixes if re.search(r"-\d+$", p)), key=step, reverse=True)


def _problem(prefix: str) -> str | None:
  try:
    reader = tf.train.load_checkpoint(prefix)
    for name in reader.get_variable_to_shape_map():
      reader.get_tensor(name)
  except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
    return str(error).splitlines()[0]
  return None
