"""The steps that transforms are made of; each is resolved for one shape and then runs both ways."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from official.checkpoints import axes
from official.checkpoints.axes import Arranged, Misfit, Shape
from official.cli.errors import UserError

_PIECE = re.compile(r"\w+:(\d+)(?:-(\d+))?/(\d+)(?:@(-?\d+))?")
_ORDER = re.compile(r"order:(\d+(?:,\d+)+)@(-?\d+)")


@dataclasses.dataclass(frozen=True)
class Arrange:
  """Regroups and permutes axes.

  Attributes:
    arrangement: of the axes.
    sizes: lengths of axes that no shape tells.

  Raises:
    UserError: such a length is missing, or there is no such axis.
  """

  arrangement: axes.Arrangement
  sizes: Mapping[str, int]

  def __post_init__(self) -> None:
    text = self.arrangement.text
    missing = self.arrangement.open_axes(self.sizes)
    if missing:
      raise UserError(f"'{text}': give the length of one of {', '.join(missing)}: '; h=7'")
    unknown = set(self.sizes) - {axis for group in self.arrangement.left for axis in group}
    if unknown:
      raise UserError(f"'{text}': there is no axis '{min(unknown)}'")

  @classmethod
  def read(cls, text: str) -> Self:
    """The step written as "(h w) n -> h w n; h=13"; raises UserError where it is malformed."""
    arrangement, _, lengths = text.partition(";")
    sizes = {}
    for length in lengths.split(",") if lengths.strip() else ():
      axis, _, value = (part.strip() for part in length.partition("="))
      if not value.isdigit():
        raise UserError(f"transform '{text}': write lengths as '; h=7, w=7'")
      sizes[axis] = int(value)
    return cls(axes.parse(arrangement.strip()), sizes)

  def resolve(self, shape: Shape) -> Arranged:
    """The step for arrays of `shape`; raises Misfit where it cannot take them."""
    return self.arrangement.resolve(shape, self.sizes)


@dataclasses.dataclass(frozen=True)
class Order:
  """Puts equal pieces of an axis in another order: piece `order[i]` becomes the i-th."""

  order: tuple[int, ...]
  axis: int

  @classmethod
  def read(cls, text: str) -> Self:
    """The step written as "order:2,1,0@AXIS"; raises UserError where it is malformed."""
    found = _ORDER.fullmatch(text)
    order = tuple(int(index) for index in found[1].split(",")) if found else ()
    if not found or sorted(order) != list(range(len(order))):
      raise UserError(f"transform '{text}': write it as 'order:2,1,0@AXIS', each piece once")
    return cls(order, int(found[2]))

  def resolve(self, shape: Shape) -> "Ordered":
    """The step for arrays of `shape`; raises Misfit where it cannot take them."""
    _piece_size(shape, self.axis, len(self.order))
    return Ordered(shape, self.order, self.axis)


@dataclasses.dataclass(frozen=True)
class Ordered:
  """`Order` for one shape."""

  after: Shape
  order: tuple[int, ...]
  axis: int

  def forward(self, array: np.ndarray) -> np.ndarray:
    """[*after] → [*after]."""
    return self._reordered(array, self.order)

  def backward(self, array: np.ndarray) -> np.ndarray:
    """[*after] → [*after]."""
    return self._reordered(array, np.argsort(self.order))

  def _reordered(self, array: np.ndarray, order: Sequence[int]) -> np.ndarray:
    pieces = np.split(array, len(order), self.axis)
    return np.concatenate([pieces[index] for index in order], self.axis)


@dataclasses.dataclass(frozen=True)
class Piece:
  """The pieces `first` to `last` of `axis` cut into `of` equal ones."""

  first: int
  last: int
  of: int
  axis: int

  @classmethod
  def read(cls, text: str, axis: int) -> Self:
    """The step written as "name:0/3", "name:1-2/3" or with "@AXIS" where that is not `axis`.

    Raises:
      UserError: it is malformed.
    """
    found = _PIECE.fullmatch(text)
    if not found:
      name = text.split(":")[0]
      raise UserError(
        f"transform '{text}': write it as '{name}:0/3', '{name}:1-2/3', '{name}:0/3@1'"
      )
    first, of = int(found[1]), int(found[3])
    last = int(found[2] or first)
    if not first <= last < of:
      raise UserError(f"transform '{text}': pieces of {of} are 0 to {of - 1}, in order")
    return cls(first, last, of, int(found[4] or axis))

  def resolve(self, shape: Shape) -> "Selected":
    """The step for arrays of `shape`; raises Misfit where it cannot take them."""
    size = _piece_size(shape, self.axis, self.of)
    index = [slice(None)] * len(shape)
    index[self.axis] = slice(self.first * size, (self.last + 1) * size)
    after = list(shape)
    after[self.axis] = (self.last + 1 - self.first) * size
    return Selected(tuple(after), tuple(index))


@dataclasses.dataclass(frozen=True)
class Selected:
  """`Piece` for one shape."""

  after: Shape
  index: tuple[slice, ...]

  def view(self, array: np.ndarray) -> np.ndarray:
    """The view [*after] of the piece."""
    return array[self.index]


def _piece_size(shape: Shape, axis: int, count: int) -> int:
  if not -len(shape) <= axis < len(shape):
    raise Misfit(f"there is no axis {axis} in {list(shape)}")
  if shape[axis] % count:
    raise Misfit(f"axis {axis} of {list(shape)} is not {count} equal pieces")
  return shape[axis] // count
