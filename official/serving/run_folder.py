"""What a training run left in its folder: settings, categories, checkpoints."""

import json
import os
from typing import Any

import tensorflow as tf

from official.cli.errors import UserError
from official.datasets.annotations import Category
from official.training import checkpoints, record, yaml_files


class RunFolder:
  """A run's folder, or something inside it.

  Args:
    path: the run's `model_dir`, a folder of checkpoints in it such as `best`, or the prefix of a
      checkpoint (`…/ckpt-1000`).
  """

  def __init__(self, path: str) -> None:
    self._path = path.rstrip("/").removesuffix(".index")
    self._is_folder = tf.io.gfile.isdir(self._path)

  def settings(self) -> tuple[str, dict[str, Any]] | None:
    """The path and the content of the run's `params.yaml`; None where there is none.

    Raises:
      UserError: it is not YAML.
    """
    path = self._find(record.PARAMS_FILE)
    return (path, yaml_files.parse(_text(path), path)) if path else None

  def categories(self) -> list[Category] | None:
    """The categories that the run was trained on, by class; None where none are recorded.

    Raises:
      UserError: the record is damaged.
    """
    path = self._find(record.CATEGORIES_FILE)
    try:
      return [Category(**row) for row in json.loads(_text(path))] if path else None
    except (ValueError, TypeError) as error:
      raise UserError(f"{path} is damaged ({error})") from error

  def checkpoint(self, best: str) -> str:
    """The prefix of the checkpoint to predict with.

    In a folder: the newest one in its subfolder `best` if there is any, else the newest one.

    Raises:
      UserError: there is none.
    """
    if self._is_folder:
      subfolder = best and checkpoints.newest_whole(os.path.join(self._path, best))
      found = subfolder or checkpoints.newest_whole(self._path)
    else:
      found = self._path if tf.io.gfile.exists(f"{self._path}.index") else None
    if not found:
      raise UserError(f"no checkpoint at {self._path}: give a run's folder, or …/ckpt-STEP")
    return found

  def _find(self, name: str) -> str | None:
    """The file `name` in the folder or the one around it."""
    folder = self._path if self._is_folder else os.path.dirname(self._path)
    paths = (os.path.join(each, name) for each in (folder, os.path.dirname(folder)))
    return next(filter(tf.io.gfile.exists, paths), None)


def _text(path: str) -> str:
  with tf.io.gfile.GFile(path) as file:
    return file.read()
