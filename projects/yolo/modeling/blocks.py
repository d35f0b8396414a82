"""The blocks of Darknet's networks, as rows: stages of backbones, steps of pyramids."""

from projects.yolo.modeling.rows import Row, Rows, concat, conv, residual, spp, upsample


def alternating(name: str, filters: int, count: int = 5, source: str = "") -> Rows:
  """`count` convolutions, an odd number: 1×1 to `filters`, 3×3 to twice as many, and so on."""
  rows = []
  for index in range(1, count + 1):
    own = name if index == count else f"{name}/conv{index}"
    rows.append(conv(own, filters, 1, source=source) if index % 2 else conv(own, 2 * filters))
    source = ""
  return tuple(rows)


def darknet_stage(name: str, filters: int, repeats: int) -> Rows:
  """A down-sampling stage of Darknet53: `repeats` residual blocks (Redmon & Farhadi 2018, t. 1)."""
  last = f"{name}/down"
  rows = [conv(last, filters, strides=2)]
  for index in range(1, repeats + 1):
    block = name if index == repeats else f"{name}/block{index}"
    rows += residual(block, filters, last, bottleneck=filters // 2)
    last = block
  return tuple(rows)


def plain_spp(name: str, filters: int, source: str) -> Rows:
  """Spatial pyramid pooling between alternating convolutions, three on either side."""
  return (
    *alternating(f"{name}/in", filters, 3, source),
    *spp(f"{name}/spp", f"{name}/in"),
    *alternating(name, filters, 3),
  )


def fpn_up(name: str, filters: int, lateral: str) -> Rows:
  """Top-down step of a feature pyramid: up-sample, join `lateral` as it is, alternate."""
  return (
    conv(f"{name}/top", filters, 1),
    upsample(f"{name}/up"),
    concat(f"{name}/joined", f"{name}/up", lateral),
    *alternating(name, filters),
  )


def pan_up(name: str, filters: int, lateral: str) -> Rows:
  """Top-down step of the path aggregation network of YOLOv4."""
  return (*_join_up(name, filters, lateral), *alternating(name, filters))


def pan_down(name: str, filters: int, source: str, lateral: str) -> Rows:
  """Bottom-up step of the path aggregation network of YOLOv4."""
  return (*_join_down(name, filters, source, lateral), *alternating(name, filters))


def csp_stage(
  name: str,
  filters: int,
  repeats: int,
  *,
  width: int | None = None,
  bottleneck: int | None = None,
) -> Rows:
  """A down-sampling CSP stage of CSPDarknet53 (Wang et al. 2020, fig. 2b).

  Halves the resolution to `filters` channels, sends `width` of them (None: half) past `repeats`
  residual blocks, which narrow to `bottleneck` (None: do not), and merges both paths.
  """
  width = width or filters // 2
  rows = [
    conv(f"{name}/down", filters, strides=2),
    conv(f"{name}/cross", width, 1),
    conv(f"{name}/split", width, 1, source=f"{name}/down"),
  ]
  last = f"{name}/split"
  for index in range(1, repeats + 1):
    block = f"{name}/block{index}"
    rows += residual(block, width, last, bottleneck=bottleneck)
    last = block
  rows += [
    conv(f"{name}/after", width, 1),
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


def csp_spp(name: str, filters: int, source: str, repeats: int = 1) -> Rows:
  """The CSP block around spatial pyramid pooling of YOLOv4-CSP, with `repeats` pairs behind it."""
  rows = [
    conv(f"{name}/cross", filters, 1, source=source),
    conv(f"{name}/reduce", filters, 1, source=source),
    conv(f"{name}/conv1", filters),
    conv(f"{name}/conv2", filters, 1),
    *spp(f"{name}/spp", f"{name}/conv2"),
  ]
  for index in range(3, 3 + 2 * repeats, 2):
    rows += [conv(f"{name}/conv{index}", filters, 1), conv(f"{name}/conv{index + 1}", filters)]
  rows += [
    concat(f"{name}/both", rows[-1].name, f"{name}/cross"),
    conv(name, filters, 1),
  ]
  return tuple(rows)


def csp_plain(name: str, filters: int, repeats: int) -> Rows:
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


def csp_up(name: str, filters: int, lateral: str, repeats: int) -> Rows:
  """Top-down step of the CSP path aggregation network: up-sample, join `lateral`, CSP block."""
  return (*_join_up(name, filters, lateral), *csp_plain(name, filters, repeats))


def csp_down(name: str, filters: int, source: str, lateral: str, repeats: int) -> Rows:
  """Bottom-up step: stride 2 from `source`, join `lateral`, CSP block."""
  return (*_join_down(name, filters, source, lateral), *csp_plain(name, filters, repeats))


def csp_pyramid(filters: dict[int, int], repeats: int, *, pooled: int = 1) -> Rows:
  """The CSP path aggregation network over levels 3 and up (Wang et al. 2021, fig. 4).

  Args:
    filters: of each level.
    repeats: of every CSP block.
    pooled: pairs of convolutions behind the pooling.
  """
  top = max(filters)
  rows = csp_spp(f"n{top}", filters[top], f"c{top}", pooled)
  for level in range(top - 1, 2, -1):
    name = f"n{level}" if level > 3 else "p3"
    rows += csp_up(name, filters[level], f"c{level}", repeats)
  for level in range(4, top + 1):
    rows += csp_down(f"p{level}", filters[level], f"p{level - 1}", f"n{level}", repeats)
  return rows


def _join_up(name: str, filters: int, lateral: str) -> Rows:
  return (
    conv(f"{name}/top", filters, 1),
    upsample(f"{name}/up"),
    conv(f"{name}/lateral", filters, 1, source=lateral),
    concat(f"{name}/joined", f"{name}/lateral", f"{name}/up"),
  )


def _join_down(name: str, filters: int, source: str, lateral: str) -> Rows:
  return (
    conv(f"{name}/down", filters, strides=2, source=source),
    concat(f"{name}/joined", f"{name}/down", lateral),
  )
