"""What a pickle is made of, besides numbers, strings, tuples, lists, dictionaries and sets."""

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from official.checkpoints.arrays import LazyArray
from official.checkpoints.problems import Unreadable, shown


@dataclasses.dataclass(frozen=True, eq=False)
class Global:
  """A name that the pickle imports; nothing is imported.

  Attributes:
    module: as Python 3 and numpy 1 call it.
    name: without dots.
    listed: whether the policy knows it. One that is not may be there, but not be used.
  """

  module: str
  name: str
  listed: bool

  def __str__(self) -> str:
    return f"{self.module}.{self.name}"


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
  """An instance of a class: its attributes, and none of its code.

  Attributes:
    kind: the class.
    items: the arguments that it was made with, as of a named tuple.
    attributes: what `__dict__` would hold; for a class derived from dict also its entries.
  """

  kind: Global
  items: tuple[Any, ...] = ()
  attributes: dict[str, Any] = dataclasses.field(default_factory=dict)


class OrderedMap(dict[Any, Any]):
  """An OrderedDict, told from a dict because a pickle may give it attributes (`_metadata`)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
  """The memory that torch's tensors are views of.

  Attributes:
    dtype: of its elements; uint8 where only the tensors know.
    size: number of elements.
    load: the bytes, in the machine's byte order; may raise `Unreadable`.
  """

  dtype: np.dtype
  size: int
  load: Callable[[np.dtype], memoryview | np.ndarray]

  def as_stated(self, key: str, dtype: np.dtype, size: int) -> Self:
    """This storage, if the pickle states it again as it did before.

    Raises:
      Unreadable: it does not.
    """
    if (self.dtype, self.size) != (dtype, size):
      raise Unreadable(f"its pickle states storage {shown(key)} in two ways")
    return self


@dataclasses.dataclass(eq=False)
class ArrayType:
  """A numpy dtype: its code ("f8") and, once built, its byte order."""

  code: str
  order: str = "="


@dataclasses.dataclass(eq=False)
class PendingArray:
  """A numpy array, which a pickle makes first and fills afterwards."""

  array: LazyArray | None = None
