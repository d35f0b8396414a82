"""A checkpoint: named arrays that stay in their file until they are read."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from official.checkpoints.problems import naming, shown
from official.cli.errors import UserError, nearest


@dataclasses.dataclass(frozen=True, eq=False)
class LazyArray:
  """An array that is still in its file.

  Attributes:
    shape: its shape.
    dtype: its type in the machine's byte order; `ml_dtypes`' where numpy has none (bfloat16).
    load: makes the array, of that shape and type; may raise `Unreadable`.
    where: what an error names: the array and its file.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  load: Callable[[], np.ndarray]
  where: str = "an array"

  @property
  def size(self) -> int:
    """The number of elements."""
    return math.prod(self.shape)

  def read(self) -> np.ndarray:
    """The array: C-contiguous, writable, the caller's own.

    Raises:
      UserError: the file is damaged there.
    """
    with naming(self.where):
      return self.load()

  def named(self, name: str, path: Path) -> Self:
    """The same array, whose errors say that it is `name` in `path`."""
    return dataclasses.replace(self, where=f"{shown(name)} of {path}")


Arrays = Mapping[str, LazyArray]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """What a file of weights holds.

  Attributes:
    path: the file.
    format: "torch zip", "torch legacy", "pickle", "safetensors", "darknet" or "tensorflow".
    arrays: by name; names of nested dictionaries, lists and modules are joined by ".".
    metadata: everything else by name: numbers, strings, settings of pickled modules.
  """

  path: Path
  format: str
  arrays: Arrays
  metadata: Mapping[str, Any]

  def below(self, prefix: str) -> Arrays:
    """The arrays under `prefix` ("model", "ema.module"), by the rest of their names.

    Raises:
      UserError: there are none.
    """
    start = f"{prefix}."
    found = {name[len(start) :]: a for name, a in self.arrays.items() if name.startswith(start)}
    if not found:
      tops = dict.fromkeys(name.partition(".")[0] for name in self.arrays)
      hint = nearest(prefix, tops) or f" (it has {', '.join(map(shown, list(tops)[:8]))})"
      raise UserError(f"{self.path} has no arrays under '{prefix}'{hint}")
    return found
