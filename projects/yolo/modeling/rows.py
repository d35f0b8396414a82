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


def csp_stage(name: str, filters: int, repeats: int) -> Rows:
  """A down-sampling CSP stage of CSPDarknet53 (Wang et al. 2020, fig. 2b).

  Halves the resolution to `filters` channels, sends half of them past `repeats` residual blocks and
  merges both halves.
  """
  half = filters // 2
  rows = [
    conv(f"{name}/down", filters, strides=2),
    conv(f"{name}/cross", half, 1),
    conv(f"{name}/split", half, 1, source=f"{name}/down"),
  ]
  last = f"{name}/split"
  for index in range(1, repeats + 1):
    block = f"{name}/block{index}"
    rows += residual(block, half, last)
    last = block
  rows += [
    conv(f"{name}/after", half, 1),
    concat(f"{name}/both", f"{name}/after", f"{name}/cross"),
    conv(name, filters, 1),
  ]
  return tuple(rows)


def csp_tiny(name: str, filters: int) -> Rows:
  """The CSP block of YOLOv4-tiny: half of the channels pass two convolutions (Wang et al. 2021).

  [.., c] → [.., 2 · filters] at the same resolution; `{name}/merge` is its inner output.
  """
  half = {"groups": 2, "index": 1}
  return (
    conv(f"{name}/in", filters),
    Row(f"{name}/half", "group", (), half),
    conv(f"{name}/conv1", filters // 2),
    conv(f"{name}/conv2", filters // 2),
    concat(f"{name}/pair", f"{name}/conv2", f"{name}/conv1"),
    conv(f"{name}/merge", filters, 1),
    concat(name, f"{name}/in", f"{name}/merge"),
  )


def spp(name: str, source: str) -> Rows:
  """Spatial pyramid pooling: `source` beside its 5×5, 9×9 and 13×13 maxima (He et al. 2014)."""
  pools = tuple(pool(f"{name}/pool{size}", size, 1, source) for size in (5, 9, 13))
  return (*pools, concat(name, *(row.name for row in reversed(pools)), source))


def csp_spp(name: str, filters: int) -> Rows:
  """The CSP block around spatial pyramid pooling of YOLOv4-CSP."""
  return (
    conv(f"{name}/cross", filters, 1),
    conv(f"{name}/reduce", filters, 1, source="c5"),
    conv(f"{name}/conv1", filters),
    conv(f"{name}/conv2", filters, 1),
    *spp(f"{name}/spp", f"{name}/conv2"),
    conv(f"{name}/conv3", filters, 1),
    conv(f"{name}/conv4", filters),
    concat(f"{name}/both", f"{name}/conv4", f"{name}/cross"),
    conv(name, filters, 1),
  )


def csp_plain(name: str, filters: int, repeats: int = 2) -> Rows:
  """A CSP block of the neck: no residuals, `repeats` pairs of 1×1 and 3×3."""
  rows = [
    conv(f"{name}/reduce", filters, 1),
    conv(f"{name}/cross", filters, 1),
  ]
  source = f"{name}/reduce"
  for index in range(1, repeats + 1):
    rows += [
      conv(f"{name}/conv{index}a", filters, 1, source=source),
      conv(f"{name}/conv{index}b", filters),
    ]
    source = ""
  rows += [
    concat(f"{name}/both", f"{name}/conv{repeats}b", f"{name}/cross"),
    conv(name, filters, 1),
  ]
  return tuple(rows)


def csp_up(name: str, filters: int, lateral: str) -> Rows:
  """Top-down step of the CSP path aggregation network: up-sample, join `lateral`, CSP block."""
  return (
    conv(f"{name}/top", filters, 1),
    upsample(f"{name}/up"),
    conv(f"{name}/lateral", filters, 1, source=lateral),
    concat(f"{name}/joined", f"{name}/lateral", f"{name}/up"),
    *csp_plain(name, filters),
  )


def csp_down(name: str, filters: int, source: str, lateral: str) -> Rows:
  """Bottom-up step: stride 2 from `source`, join `lateral`, CSP block."""
  return (
    conv(f"{name}/down", filters, strides=2, source=source),
    concat(f"{name}/joined", f"{name}/down", lateral),
    *csp_plain(name, filters),
  )
