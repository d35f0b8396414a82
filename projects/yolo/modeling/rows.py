"""The vocabulary of the variant tables: a network is a list of rows.

A row is one layer: its name, its kind, the rows that it reads and its arguments. What papers call a
block (a CSP stage, a pyramid step) is a function that returns rows.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
  """One layer of a network.

  Attributes:
    name: unique in its table; becomes the Keras layer's name.
    kind: a key of `builder.LAYERS`.
    inputs: names of the rows or inputs that it reads; empty means the row above.
    args: the layer's own arguments.
  """

  name: str
  kind: str
  inputs: tuple[str, ...] = ()
  args: dict[str, Any] = dataclasses.field(default_factory=dict)


Rows = tuple[Row, ...]


def conv(name: str, filters: int, kernel: int = 3, strides: int = 1, source: str = "") -> Row:
  """Convolution, BatchNorm and the variant's activation."""
  args = {"filters": filters, "kernel_size": kernel, "strides": strides}
  return Row(name, "conv", (source,) if source else (), args)


def pool(name: str, size: int = 2, strides: int = 2, source: str = "") -> Row:
  """Max-pooling padded with −∞ where the window leaves the image."""
  return Row(name, "pool", (source,) if source else (), {"size": size, "strides": strides})


def concat(name: str, *sources: str) -> Row:
  """Channels of `sources`, in that order."""
  return Row(name, "concat", sources)


def upsample(name: str) -> Row:
  """Each pixel twice along both axes."""
  return Row(name, "upsample", (), {"size": 2})


def residual(name: str, filters: int, source: str, *, bottleneck: int | None = None) -> Rows:
  """1×1 to `bottleneck` channels, 3×3 to `filters`, plus `source` (He et al. 2016)."""
  return (
    conv(f"{name}/reduce", bottleneck or filters, 1, source=source),
    conv(f"{name}/conv", filters),
    Row(name, "add", (f"{name}/conv", source)),
  )


def spp(name: str, source: str) -> Rows:
  """Spatial pyramid pooling: `source` beside its 5×5, 9×9 and 13×13 maxima (He et al. 2014)."""
  pools = tuple(pool(f"{name}/pool{size}", size, 1, source) for size in (5, 9, 13))
  return (*pools, concat(name, *(row.name for row in reversed(pools)), source))
