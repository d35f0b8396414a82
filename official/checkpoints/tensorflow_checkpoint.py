"""TensorFlow's checkpoints: an `.index` file and `.data-…` files of one prefix."""

from pathlib import Path
from typing import Any

import numpy as np

from official.checkpoints.arrays import LazyArray
from official.checkpoints.problems import Unreadable

# What a file of the kind of `.index` ends with, and what Keras appends to a variable's path.
INDEX_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def read_tensorflow(prefix: Path) -> tuple[dict[str, LazyArray], dict[str, Any]]:
  """The variables of the checkpoint `prefix` by name, and what else it holds.

  A name is the variable's path in the checkpoint, without ".ATTRIBUTES/VARIABLE_VALUE".

  Raises:
    Unreadable: it is damaged.
  """
  import tensorflow as tf

  problems = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
  try:
    reader = tf.train.load_checkpoint(str(prefix))
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()
  except problems as error:
    raise Unreadable(_first_line(error)) from error

  def lazy(name: str) -> LazyArray:
    def load() -> np.ndarray:
      try:
        return np.array(reader.get_tensor(name))
      except problems as error:
        raise Unreadable(_first_line(error)) from error

    return LazyArray(tuple(shapes[name]), np.dtype(dtypes[name].as_numpy_dtype), load)

  arrays = {}
  metadata = {}
  for name in sorted(shapes):
    if dtypes[name] == tf.string:
      metadata[name] = "(a string)"
    else:
      arrays[name.removesuffix(_SUFFIX)] = lazy(name)
  return arrays, metadata


def _first_line(error: Exception) -> str:
  return (str(error) or type(error).__name__).splitlines()[0]
