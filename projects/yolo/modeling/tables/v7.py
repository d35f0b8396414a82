"""YOLOv7 (Wang et al. 2022): tiny, v7, X and, with four levels and auxiliary heads, W6 to E6E.

Sources: the `cfg/training/*.yaml` of WongKinYiu's yolov7 (facts alone). All scaled coordinates. The
auxiliary heads, and the implicit knowledge of all heads, are of training: `deploy.py` takes them
out again.
"""

from collections.abc import Callable, Mapping, Sequence

from projects.yolo.modeling.elan import (
  elan,
  elan_pair,
  elan_pyramid,
  spp_csp_tiny,
  strided,
  transition,
)
from projects.yolo.modeling.rows import Row, Rows, conv, pool
from projects.yolo.modeling.variant import Anchors, Auxiliary, Variant

_TINY_ANCHORS: Anchors = (
  *((10, 13), (16, 30), (33, 23)),
  *((30, 61), (62, 45), (59, 119)),
  *((116, 90), (156, 198), (373, 326)),
)
_ANCHORS: Anchors = (
  *((12, 16), (19, 36), (40, 28)),
  *((36, 75), (76, 55), (72, 146)),
  *((142, 110), (192, 243), (459, 401)),
)
_P6_ANCHORS: Anchors = (
  *((19, 27), (44, 40), (38, 94)),
  *((96, 68), (86, 152), (180, 137)),
  *((140, 301), (303, 264), (238, 542)),
  *((436, 615), (739, 380), (925, 792)),
)
# Where the auxiliary head of each level looks: at the finest of the pyramid, else at the top-down
# features; of E6E's sums, at the second term.
_TOP_DOWN = {3: "p3", 4: "n4", 5: "n5", 6: "n6"}
_SECONDS = {3: "p3/second", 4: "n4/second", 5: "n5/second", 6: "n6"}

Aggregation = Callable[..., Rows]


def _variant(
  backbone: Rows,
  decoder: Rows,
  head: Mapping[int, int],
  anchors: Anchors,
  *,
  input_size: int = 640,
  activation: str = "swish",
  head_kind: str = "conv",
  auxiliary: Mapping[int, Auxiliary] | None = None,
) -> Variant:
  return Variant(
    backbone=backbone,
    decoder=decoder,
    head=dict(head),
    anchors={level: anchors[3 * index : 3 * index + 3] for index, level in enumerate(head)},
    activation=activation,
    coordinates="scaled",
    scale_xy=dict.fromkeys(head, 2.0),
    input_size=input_size,
    head_kind=head_kind,
    implicit=True,
    auxiliary=dict(auxiliary or {}),
  )


def _three_levels(stem: int, depth: int) -> Rows:
  """Backbone of v7 and X."""
  inner = {2: 64, 3: 128, 4: 256, 5: 256}
  rows = [
    conv("stem", stem),
    conv("c1/down", 2 * stem, strides=2),
    conv("c1", 2 * stem),
    conv("c2/down", 4 * stem, strides=2),
  ]
  for level, width in inner.items():
    filters = min(8 * stem * 2 ** (level - 2), 32 * stem)
    if level > 2:
      half = 4 * stem * 2 ** (level - 3)
      rows += transition(f"c{level}/down", f"c{level - 1}", half, 2 * half)
    rows += elan(f"c{level}", f"c{level}/down", width, width, depth, filters, every=2)
  return tuple(rows)


def _tiny_backbone() -> Rows:
  rows = [conv("stem", 32, strides=2), conv("c2/down", 64, strides=2)]
  for level, width in zip(range(2, 6), (32, 64, 128, 256), strict=True):
    if level > 2:
      rows.append(pool(f"c{level}/down"))
    rows += elan(f"c{level}", f"c{level}/down", width, width, 2, 2 * width, every=1)
  return tuple(rows)


def _four_levels(
  stem: int,
  depth: int,
  filters: Sequence[int],
  block: Aggregation = elan,
  down: Callable[[str, str, int, int], Rows] = transition,
) -> Rows:
  """Backbone of W6 and above: the image's 2×2 pixels become channels first."""
  rows = [Row("pixels", "space_to_depth"), conv("stem", stem)]
  source, channels = "stem", stem
  for level, width, out in zip(range(2, 7), (64, 128, 256, 384, 512), filters, strict=True):
    rows += down(f"c{level}/down", source, channels, out)
    rows += block(f"c{level}", f"c{level}/down", width, width, depth, out, every=2)
    source, channels = f"c{level}", out
  return tuple(rows)


def _pyramid_of_four(
  filters: Mapping[int, int],
  widths: Mapping[int, int],
  depth: int,
  block: Aggregation = elan,
  down: Callable[[str, str, int, int], Rows] = transition,
) -> Rows:
  step = lambda name, source, level: block(  # noqa: E731
    name, source, widths[level], widths[level] // 2, depth, filters[level], every=1
  )
  return elan_pyramid(filters, step, down=down)


def _auxiliary(sources: Mapping[int, str], filters: Mapping[int, int]) -> dict[int, Auxiliary]:
  return {level: Auxiliary(sources[level], width) for level, width in filters.items()}


_V7 = {3: 128, 4: 256, 5: 512}
_X = {3: 160, 4: 320, 5: 640}
_TINY = {3: 64, 4: 128, 5: 256}
_W6 = {3: 128, 4: 256, 5: 384, 6: 512}
_E6 = {3: 160, 4: 320, 5: 480, 6: 640}
_D6 = {3: 192, 4: 384, 5: 576, 6: 768}
_WIDTHS = {3: 128, 4: 256, 5: 384, 6: 512}  # Of aggregations in the pyramids of E6 and D6.
_E6_HEAD = {3: 320, 4: 640, 5: 960, 6: 1280}
_D6_HEAD = {3: 384, 4: 768, 5: 1152, 6: 1536}

V7: dict[str, Variant] = {
  "v7-tiny": _variant(
    _tiny_backbone(),
    elan_pyramid(
      _TINY,
      lambda name, source, level: elan(
        name, source, _TINY[level] // 2, _TINY[level] // 2, 2, _TINY[level], every=1
      ),
      top=spp_csp_tiny,
      down=strided,
    ),
    {3: 128, 4: 256, 5: 512},
    _TINY_ANCHORS,
    activation="leaky",
  ),
  "v7": _variant(
    _three_levels(32, 4),
    elan_pyramid(
      _V7,
      lambda name, source, level: elan(
        name, source, _V7[level], _V7[level] // 2, 4, _V7[level], every=1
      ),
    ),
    {3: 256, 4: 512, 5: 1024},
    _ANCHORS,
    head_kind="rep",
  ),
  "v7x": _variant(
    _three_levels(40, 6),
    elan_pyramid(
      _X,
      lambda name, source, level: elan(
        name, source, _X[level] * 4 // 5, _X[level] * 4 // 5, 6, _X[level], every=2
      ),
    ),
    {3: 320, 4: 640, 5: 1280},
    _ANCHORS,
  ),
  "v7-w6": _variant(
    _four_levels(64, 4, (128, 256, 512, 768, 1024), down=strided),
    _pyramid_of_four(_W6, _W6, 4, down=strided),
    {3: 256, 4: 512, 5: 768, 6: 1024},
    _P6_ANCHORS,
    input_size=1280,
    auxiliary=_auxiliary(_TOP_DOWN, _E6_HEAD),
  ),
  "v7-e6": _variant(
    _four_levels(80, 6, (160, 320, 640, 960, 1280)),
    _pyramid_of_four(_E6, _WIDTHS, 6),
    _E6_HEAD,
    _P6_ANCHORS,
    input_size=1280,
    auxiliary=_auxiliary(_TOP_DOWN, _E6_HEAD),
  ),
  "v7-d6": _variant(
    _four_levels(96, 8, (192, 384, 768, 1152, 1536)),
    _pyramid_of_four(_D6, _WIDTHS, 8),
    _D6_HEAD,
    _P6_ANCHORS,
    input_size=1280,
    auxiliary=_auxiliary(_TOP_DOWN, _D6_HEAD),
  ),
  "v7-e6e": _variant(
    _four_levels(80, 6, (160, 320, 640, 960, 1280), elan_pair),
    _pyramid_of_four(_E6, _WIDTHS, 6, elan_pair),
    _E6_HEAD,
    _P6_ANCHORS,
    input_size=1280,
    auxiliary=_auxiliary(_SECONDS, _E6_HEAD),
  ),
}
