"""Axes regrouped and permuted, written as einops writes them: "(c m) 1 h w -> h w c m".

Unlike einops, an arrangement can be undone: resolved for one shape, it runs both ways.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from official.cli.errors import UserError

Shape = tuple[int, ...]
_Groups = tuple[tuple[str, ...], ...]

_TOKEN = re.compile(r"\([^()]*\)|\.\.\.|\w+")
_AXIS = re.compile(r"[A-Za-z_]\w*|1|\.\.\.")
_ELLIPSIS = "..."


class Misfit(ValueError):
  """A shape that a transform cannot take; the text says why."""


@dataclasses.dataclass(frozen=True)
class Arranged:
  """An arrangement for one shape: split the axes, permute them, join them.

  Attributes:
    before: shape that it takes.
    split: its axes, divided.
    permutation: of `split`.
    after: shape that it gives.
  """

  before: Shape
  split: Shape
  permutation: tuple[int, ...]
  after: Shape

  @property
  def permutes(self) -> bool:
    """Whether numbers change their order in memory."""
    return self.permutation != tuple(range(len(self.permutation)))

  def forward(self, array: np.ndarray) -> np.ndarray:
    """[*before] → [*after]; a view where it can be."""
    return array.reshape(self.split).transpose(self.permutation).reshape(self.after)

  def backward(self, array: np.ndarray) -> np.ndarray:
    """[*after] → [*before]."""
    permuted = array.reshape([self.split[axis] for axis in self.permutation])
    return permuted.transpose(np.argsort(self.permutation)).reshape(self.before)


@dataclasses.dataclass(frozen=True)
class Arrangement:
  """Axes on the left become axes on the right; "..." stands for any number of them.

  Attributes:
    text: as it was written.
    left: groups of axes; the empty group is an axis of length 1.
    right: the same axes, regrouped.
  """

  text: str
  left: _Groups
  right: _Groups

  def open_axes(self, sizes: Mapping[str, int]) -> list[str]:
    """Axes whose lengths no shape tells, with those of `sizes` given."""
    unknown = ([axis for axis in group if axis not in sizes] for group in self.left)
    return [axis for group in unknown if len(group) > 1 for axis in group]

  def resolve(self, shape: Shape, sizes: Mapping[str, int]) -> Arranged:
    """The arrangement of `shape`, where some axes have the lengths `sizes`.

    There must be no `open_axes`.

    Raises:
      Misfit: `shape` is not of this form.
    """
    left = _expand(self.left, len(shape) - len(self.left) + 1)
    right = _expand(self.right, len(shape) - len(self.left) + 1)
    if len(left) != len(shape):
      raise Misfit(f"'{self.text}' takes {_count(self.left)} axes, not {len(shape)}")
    lengths: dict[str, int] = {}
    for group, length in zip(left, shape, strict=True):
      lengths |= self._lengths(group, length, sizes)
    axes = [axis for group in left for axis in group]
    return Arranged(
      before=shape,
      split=tuple(lengths[axis] for axis in axes),
      permutation=tuple(axes.index(axis) for group in right for axis in group),
      after=tuple(math.prod(lengths[axis] for axis in group) for group in right),
    )

  def _lengths(self, group: Sequence[str], length: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Length of each axis of `group`, whose product is `length`."""
    known = {axis: sizes[axis] for axis in group if axis in sizes}
    rest = [axis for axis in group if axis not in known]
    product = math.prod(known.values())
    if product == 0 or length % product or (not rest and length != product):
      wanted = " · ".join([*(f"{axis}={size}" for axis, size in known.items()), *rest]) or "1"
      raise Misfit(f"'{self.text}' wants an axis of {wanted}, not of {length}")
    return known | {axis: length // product for axis in rest}


@functools.cache
def parse(text: str) -> Arrangement:
  """The arrangement written as `text`.

  Raises:
    UserError: the two sides do not name the same axes once each, or a side is malformed.
  """
  sides = text.split("->")
  if len(sides) != 2:
    raise UserError(f"arrangement '{text}': write it as 'o i h w -> h w i o'")
  left, right = (_groups(side, text) for side in sides)
  names = [sorted(axis for group in side for axis in group) for side in (left, right)]
  if names[0] != names[1] or len(set(names[0])) != len(names[0]):
    raise UserError(f"arrangement '{text}': both sides must name the same axes, each once")
  return Arrangement(text, left, right)


def _groups(side: str, text: str) -> _Groups:
  if _TOKEN.sub("", side).strip():
    raise UserError(f"arrangement '{text}': cannot read '{side.strip()}'")
  tokens = [(token[0] == "(", token.strip("()").split()) for token in _TOKEN.findall(side)]
  for grouped, axes in tokens:
    if not all(_AXIS.fullmatch(axis) for axis in axes) or (grouped and _ELLIPSIS in axes):
      raise UserError(f"arrangement '{text}': axes are names or 1, in '{side.strip()}'")
  return tuple(tuple(axis for axis in axes if axis != "1") for _, axes in tokens)


def _expand(groups: _Groups, count: int) -> _Groups:
  """`groups` with "..." written out as `count` axes."""
  anonymous = tuple((f"{_ELLIPSIS}{index}",) for index in range(count))
  expanded: list[tuple[str, ...]] = []
  for group in groups:
    expanded.extend(anonymous if _ELLIPSIS in group else (group,))
  return tuple(expanded)


def _count(groups: _Groups) -> str:
  if any(_ELLIPSIS in group for group in groups):
    return f"{len(groups) - 1} or more"
  return str(len(groups))
