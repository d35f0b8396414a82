"""The blocks of YOLOv7 (Wang et al. 2022, fig. 2 and 3) as rows: aggregation, transitions, pyramid.

Sources: the `cfg/training/*.yaml` of WongKinYiu's yolov7 (facts alone). Concatenations have the
original's order, so that its kernels fit as they are.
"""

from collections.abc import Callable, Mapping

from projects.yolo.modeling.rows import Row, Rows, concat, conv, pool, spp, upsample

# A block: its name, its source and its level → rows, of which the last has the name.
Block = Callable[[str, str, int], Rows]


def elan(
  name: str, source: str, width: int, inner: int, depth: int, filters: int, *, every: int
) -> Rows:
  """Efficient layer aggregation: paths of all lengths side by side, merged by a 1×1.

  Two 1×1 convolutions to `width` channels look at `source`; behind one of them stands a chain of
  `depth` 3×3 convolutions of `inner` channels, of which each `every`-th, from the last, is merged.
  """
  chain = [conv(f"{name}/conv{index}", inner) for index in range(1, depth + 1)]
  merged = [row.name for row in chain[::-every]]
  return (
    conv(f"{name}/cross", width, 1, source=source),
    conv(f"{name}/in", width, 1, source=source),
    *chain,
    concat(f"{name}/joined", *merged, f"{name}/in", f"{name}/cross"),
    conv(name, filters, 1),
  )


def elan_pair(
  name: str, source: str, width: int, inner: int, depth: int, filters: int, *, every: int
) -> Rows:
  """Extended ELAN as YOLOv7-E6E builds it: two ELAN side by side on one source, summed."""
  return (
    *elan(f"{name}/first", source, width, inner, depth, filters, every=every),
    *elan(f"{name}/second", source, width, inner, depth, filters, every=every),
    Row(name, "add", (f"{name}/second", f"{name}/first")),
  )


def transition(name: str, source: str, bottleneck: int, filters: int) -> Rows:
  """Half the resolution: half of `filters` by a strided 3×3 behind a 1×1, half by max-pooling."""
  return (
    pool(f"{name}/pool", source=source),
    conv(f"{name}/pooled", filters // 2, 1),
    conv(f"{name}/reduce", bottleneck, 1, source=source),
    conv(f"{name}/strided", filters // 2, strides=2),
    concat(name, f"{name}/strided", f"{name}/pooled"),
  )


def strided(name: str, source: str, bottleneck: int, filters: int) -> Rows:
  """Half the resolution by a strided 3×3 alone; the `bottleneck` of a transition is not there."""
  del bottleneck
  return (conv(name, filters, strides=2, source=source),)


def spp_csp(name: str, source: str, filters: int) -> Rows:
  """Spatial pyramid pooling between convolutions, beside a 1×1 past them (SPPCSPC)."""
  pools = tuple(pool(f"{name}/pool{size}", size, 1, f"{name}/conv3") for size in (5, 9, 13))
  return (
    conv(f"{name}/conv1", filters, 1, source=source),
    conv(f"{name}/conv2", filters),
    conv(f"{name}/conv3", filters, 1),
    *pools,
    concat(f"{name}/spp", f"{name}/conv3", *(row.name for row in pools)),
    conv(f"{name}/conv4", filters, 1),
    conv(f"{name}/conv5", filters),
    conv(f"{name}/cross", filters, 1, source=source),
    concat(f"{name}/both", f"{name}/conv5", f"{name}/cross"),
    conv(name, filters, 1),
  )


def spp_csp_tiny(name: str, source: str, filters: int) -> Rows:
  """`spp_csp` of YOLOv7-tiny: one convolution before the pooling, one behind, all 1×1."""
  return (
    conv(f"{name}/cross", filters, 1, source=source),
    conv(f"{name}/reduce", filters, 1, source=source),
    *spp(f"{name}/spp", f"{name}/reduce"),
    conv(f"{name}/conv", filters, 1),
    concat(f"{name}/both", f"{name}/conv", f"{name}/cross"),
    conv(name, filters, 1),
  )


def elan_pyramid(
  filters: Mapping[int, int],
  block: Block,
  top: Callable[[str, str, int], Rows] = spp_csp,
  down: Callable[[str, str, int, int], Rows] = transition,
) -> Rows:
  """Path aggregation: {"c3", "c4", …} → {"p3", "p4", …}, with `filters` by level.

  The inner, top-down features are `n4` and above; the finest level's is `p3` itself.
  """
  levels = sorted(filters)
  rows = list(top(f"n{levels[-1]}", f"c{levels[-1]}", filters[levels[-1]]))
  for level in levels[-2::-1]:
    name = f"n{level}" if level > levels[0] else f"p{level}"
    rows += [
      conv(f"{name}/top", filters[level], 1),
      upsample(f"{name}/up"),
      conv(f"{name}/lateral", filters[level], 1, source=f"c{level}"),
      concat(f"{name}/sources", f"{name}/lateral", f"{name}/up"),
      *block(name, f"{name}/sources", level),
    ]
  for level in levels[1:]:
    rows += [
      *down(f"p{level}/down", f"p{level - 1}", filters[level - 1], filters[level]),
      concat(f"p{level}/sources", f"p{level}/down", f"n{level}"),
      *block(f"p{level}", f"p{level}/sources", level),
    ]
  return tuple(rows)
