"""Axes of the original → axes of the candidate, as they are declared; never found from values."""

import einops
import numpy as np

from official.cli.errors import UserError


class LayoutError(Exception):
  """An array does not have the axes that its layout says, told in a few words."""


def convert(array: np.ndarray, layout: str, shape: tuple[int, ...]) -> np.ndarray:
  """`array` with the axes of the right side of `layout`.

  Args:
    array: with the axes of the left side.
    layout: as einops writes it ("b (h w) c -> b h w c"); empty: as it is.
    shape: of the other array; it gives the sizes of axes that are joined on the left. The result
      may have another one all the same.

  Raises:
    LayoutError: `array` does not have these axes.
    UserError: `layout` is no such pattern.
  """
  if not layout:
    return array
  left, right = sides(layout)
  sizes = {}
  if len(right) == len(shape):
    joined = {axis for group in left if len(group) > 1 for axis in group}
    sizes = {g[0]: n for g, n in zip(right, shape, strict=True) if len(g) == 1 and g[0] in joined}
  if len(left) != array.ndim:
    raise LayoutError(f"{list(array.shape)} has not the axes of '{layout}'")
  try:
    return einops.rearrange(array, layout, **sizes)
  except einops.EinopsError:
    raise LayoutError(f"{list(array.shape)} does not fit '{layout}' and {list(shape)}") from None


def inverse(layout: str) -> str:
  """The layout the other way round."""
  return " -> ".join(part.strip() for part in reversed(layout.split("->")))


def sides(layout: str) -> tuple[list[list[str]], list[list[str]]]:
  """For each axis on the left and on the right, the names that it is made of.

  Raises:
    UserError: `layout` does not name the same axes on both sides.
  """
  parts = [_axes(part) for part in layout.split("->")]
  names = [sorted(name for group in part for name in group) for part in parts]
  if len(parts) != 2 or names[0] != names[1] or len(set(names[0])) != len(names[0]):
    raise UserError(f"layout '{layout}': name the same axes on both sides, as 'b c h w -> b h w c'")
  return parts[0], parts[1]


def _axes(part: str) -> list[list[str]]:
  """ "b (h w) c" → [["b"], ["h", "w"], ["c"]]."""
  axes: list[list[str]] = []
  group: list[str] | None = None
  for word in part.replace("(", " ( ").replace(")", " ) ").split():
    if word == "(":
      group = []
    elif word == ")" and group is not None:
      axes.append(group)
      group = None
    elif group is not None:
      group.append(word)
    else:
      axes.append([word])
  return axes
