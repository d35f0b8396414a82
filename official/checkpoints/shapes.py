"""Which shapes a file may state."""

import math
from typing import Any

MAX_RANK = 32
_MAX_SIZE = 1 << 48  # Far above any array's, and far below where numpy's own arithmetic ends.


def is_shape(value: tuple[Any, ...] | list[Any]) -> bool:
  """Whether numpy can make an array of the shape `value`, empty ones included."""
  if len(value) > MAX_RANK or not all(type(size) is int and size >= 0 for size in value):
    return False
  return math.prod(size for size in value if size) < _MAX_SIZE
