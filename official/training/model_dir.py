"""Checks on the folder of a run, before TensorFlow is loaded."""

import os
import tempfile

from official.cli.errors import UserError


def check_model_dir(path: str, mode: str) -> None:
  """Raises `UserError` unless `path` can be written (to train) or read (to evaluate).

  Addresses such as gs://bucket/run are left to TensorFlow.
  """
  if "://" in path:
    return
  if "train" not in mode:
    if mode == "eval" and not os.path.isdir(path):
      raise UserError(f"--model_dir {path} is not a folder: nothing to evaluate")
    return
  try:
    os.makedirs(path, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
      pass
  except OSError as error:
    raise UserError(f"cannot write to --model_dir {path}: {error.strerror}") from error
