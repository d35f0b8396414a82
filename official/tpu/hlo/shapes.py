"""Shapes of XLA's text, with layouts: `bf16[8,32,32,3]{0,3,2,1:T(8,128)(2,1)S(1)}`."""

import dataclasses
import math
import re

_ARRAY = re.compile(
  r"(?P<dtype>[a-z]\w*)\[(?P<sizes>[^\]]*)\](\{(?P<order>[\d,]*)(:(?P<rest>[^}]*))?\})?"
)
_TILE = re.compile(r"(?:T|(?<=\)))\(([\d,*]+)\)")
_SPACE = re.compile(r"S\((\d+)\)")
_BITS = {"pred": 8, "token": 0, "opaque": 0, "c64": 64, "c128": 128}
_DIGITS = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True)
class Shape:
  """One array.

  Attributes:
    dtype: as XLA calls it, such as `bf16`.
    sizes: of each dimension.
    order: the dimensions from the one that varies fastest on; empty where no layout is told.
    tile: sizes that the last dimensions of the layout are padded to multiples of, the fastest last.
    space: where it lies: 0 is HBM, 1 the vector unit's memory; others are small or elsewhere.
  """

  dtype: str
  sizes: tuple[int, ...]
  order: tuple[int, ...] = ()
  tile: tuple[int, ...] = ()
  space: int = 0

  @property
  def elements(self) -> int:
    """How many numbers it has."""
    return math.prod(self.sizes)

  @property
  def bytes(self) -> int:
    """What its numbers take without padding."""
    return self.elements * _bits(self.dtype) // 8

  @property
  def padded_bytes(self) -> int:
    """What it takes with its tiles filled up."""
    physical = [self.sizes[dimension] for dimension in reversed(self.order)]
    for place, side in enumerate(reversed(self.tile), 1):
      if place <= len(physical):
        physical[-place] = math.ceil(physical[-place] / side) * side
      else:
        physical.insert(0, side)
    return math.prod(physical) * _bits(self.dtype) // 8 if self.order or self.tile else self.bytes

  def __str__(self) -> str:
    return f"{self.dtype}[{','.join(map(str, self.sizes))}]"


def parse(text: str) -> tuple[Shape, ...]:
  """The arrays of a shape; several where it is a tuple, flat."""
  return tuple(_array(match) for match in _ARRAY.finditer(text))


def _array(match: re.Match[str]) -> Shape:
  rest = match["rest"] or ""
  tile, space = _TILE.search(rest), _SPACE.search(rest)
  return Shape(
    match["dtype"],
    # A bound of a dynamic size is written as <=N.
    tuple(int(size) for size in _DIGITS.findall(match["sizes"])),
    tuple(int(each) for each in (match["order"] or "").split(",") if each),
    tuple(int(each) for each in tile[1].split(",") if each != "*") if tile else (),
    int(space[1]) if space else 0,
  )


def _bits(dtype: str) -> int:
  if dtype in _BITS:
    return _BITS[dtype]
  digits = _DIGITS.search(dtype)
  return int(digits[0]) if digits else 0
