"""Fills networks from files of their originals, and writes such files; see `schemes`."""

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tf_keras

from official.checkpoints import formats, schemes
from official.checkpoints.arrays import Arrays
from official.checkpoints.schemes import ForeignFiles
from official.checkpoints.transfer import Plan, TransferError
from official.cli.errors import UserError
from official.parity.recorders.keras_names import buffer_names, parameter_names


def is_foreign(path: str) -> bool:
  """Whether `path` is a file, and not one of a TensorFlow checkpoint."""
  return os.path.isfile(path) and formats.tensorflow_prefix(Path(path)) is None


def load(model: tf_keras.Model, path: str, files: ForeignFiles, parts: Sequence[str] = ()) -> None:
  """Fills `model` from the file `path`; arguments and errors as of `Filling`."""
  filling = Filling(model, path, files, parts)
  for name in filling.names:
    filling.fill(name)


class Filling:
  """A network about to be filled from a file: everything is checked, nothing is read yet.

  Attributes:
    names: of the variables that are filled.

  Args:
    model: with its variables made.
    path: of a file of any format that `open_checkpoint` reads.
    files: that the model can be filled from.
    parts: layers of the model that are filled, the rest stays; empty: all.

  Raises:
    TransferError: an array is unused, a variable unfilled, or a shape does not fit; `problems` has
      all of them.
    UserError: the file cannot be read, or its names are of no known scheme.
  """

  def __init__(
    self, model: tf_keras.Model, path: str, files: ForeignFiles, parts: Sequence[str] = ()
  ) -> None:
    scheme, self._arrays = schemes.recognize(files, files.open(Path(path)))
    if scheme.parts and not (parts and set(parts) <= set(scheme.parts)):
      held = ",".join(scheme.parts)
      raise UserError(
        f"{path} holds a {held} alone: start a training from it, by task.init_checkpoint and "
        f"task.init_checkpoint_modules=[{held}]"
      )
    self._variables = _variables(model)
    targets = {name: tuple(variable.shape) for name, variable in self._variables.items()}
    sources = {name: array.shape for name, array in self._arrays.items()}
    try:
      self._plan = schemes.plan_import(scheme, sources, targets, parts)
    except TransferError as error:
      found = files.identify(sources)
      hint = f"; it is {found}" if found else ""
      what = f"{path} ({scheme.name}) does not fit this network{hint}"
      raise TransferError(what, error.problems) from error
    _check_types(self._plan, self._arrays)
    self.names = list(self._plan.targets)

  def fill(self, name: str) -> None:
    """Reads what the variable `name` is made of, so that never all weights are there twice.

    Raises:
      UserError: the file is damaged there.
    """
    given = {source: self._arrays[source].read() for source in self._plan.pairs[name]}
    value = self._plan.forward(given, partial=True)[name]
    variable = self._variables[name]
    variable.assign(value.astype(variable.dtype.as_numpy_dtype))


def save(model: tf_keras.Model, path: Path, files: ForeignFiles, names: str) -> int:
  """Writes the weights of `model` to the file `path`, whose end says in which format.

  Args:
    model: with its variables made.
    path: ends in a key of `files.writers`.
    files: that the model can be filled from.
    names: of the scheme.

  Returns:
    how many arrays it holds.

  Raises:
    UserError: there is no such scheme or format, or the system refuses.
  """
  scheme, write = files.scheme(names), files.writer(path)
  values = {name: variable.numpy() for name, variable in _variables(model).items()}
  arrays = schemes.exported(scheme, values)
  write(path, arrays)
  return len(arrays)


def _variables(model: tf_keras.Model) -> dict[str, tf.Variable]:
  return parameter_names(model) | buffer_names(model)


def _check_types(plan: Plan, arrays: Arrays) -> None:
  for move in plan.moves:
    array = arrays[move.source]
    if array.dtype.kind in "biuc":
      raise UserError(f"{array.where} is of type {array.dtype}: weights are floating numbers")
