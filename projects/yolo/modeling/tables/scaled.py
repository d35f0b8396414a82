"""Scaled-YOLOv4 (Wang et al. 2021): YOLOv4-CSP, its wider form, and P5 to P7.

Sources: the `.cfg` files that AlexeyAB's Darknet trains, and of P7 the `yolov4-p7.yaml` of
WongKinYiu's ScaledYOLOv4 (facts alone). All mish, all scaled coordinates.
"""

from collections.abc import Sequence

from projects.yolo.modeling.blocks import csp_pyramid, csp_stage, darknet_stage
from projects.yolo.modeling.rows import Rows, conv
from projects.yolo.modeling.variant import Anchors, Variant

_CSP_ANCHORS: Anchors = (
  *((12, 16), (19, 36), (40, 28)),
  *((36, 75), (76, 55), (72, 146)),
  *((142, 110), (192, 243), (459, 401)),
)
_P5_ANCHORS: Anchors = (
  *((13, 17), (31, 25), (24, 51), (61, 45)),
  *((48, 102), (119, 96), (97, 189), (217, 184)),
  *((171, 384), (324, 451), (616, 618), (800, 800)),
)
_P6_ANCHORS: Anchors = (
  *((13, 17), (31, 25), (24, 51), (61, 45)),
  *((61, 45), (48, 102), (119, 96), (97, 189)),
  *((97, 189), (217, 184), (171, 384), (324, 451)),
  *((324, 451), (545, 357), (616, 618), (1024, 1024)),
)
_P7_ANCHORS: Anchors = (
  *((13, 17), (22, 25), (27, 66), (55, 41)),
  *((57, 88), (112, 69), (69, 177), (136, 138)),
  *((136, 138), (287, 114), (134, 275), (268, 248)),
  *((268, 248), (232, 504), (445, 416), (640, 640)),
  *((812, 393), (477, 808), (1070, 908), (1408, 1408)),
)


def _csp_stages(first: int, filters: Sequence[int], repeats: Sequence[int]) -> Rows:
  """CSP stages, of which the first is `c{first}`."""
  return tuple(
    row
    for index, (width, count) in enumerate(zip(filters, repeats, strict=True))
    for row in csp_stage(f"c{first + index}", width, count)
  )


def _scaled(
  backbone: Rows,
  pyramid: dict[int, int],
  repeats: int,
  anchors: Anchors,
  input_size: int,
  pooled: int = 1,
) -> Variant:
  """A variant with `pyramid` filters by level and as many anchors at each."""
  share = len(anchors) // len(pyramid)
  return Variant(
    backbone=backbone,
    decoder=csp_pyramid(pyramid, repeats, pooled=pooled),
    head={level: 2 * filters for level, filters in pyramid.items()},
    anchors={
      level: anchors[index * share : (index + 1) * share] for index, level in enumerate(pyramid)
    },
    activation="mish",
    coordinates="scaled",
    scale_xy=dict.fromkeys(pyramid, 2.0),
    input_size=input_size,
  )


SCALED: dict[str, Variant] = {
  "v4-csp": _scaled(
    (
      conv("stem", 32),
      *darknet_stage("c1", 64, 1),
      *_csp_stages(2, (128, 256, 512, 1024), (2, 8, 8, 4)),
    ),
    {3: 128, 4: 256, 5: 512},
    2,
    _CSP_ANCHORS,
    512,
  ),
  "v4x-mish": _scaled(
    (
      conv("stem", 32),
      *darknet_stage("c1", 80, 1),
      *_csp_stages(2, (160, 320, 640, 1280), (3, 10, 10, 5)),
    ),
    {3: 160, 4: 320, 5: 640},
    3,
    _CSP_ANCHORS,
    640,
    pooled=2,
  ),
  "v4-p5": _scaled(
    (conv("stem", 32), *_csp_stages(1, (64, 128, 256, 512, 1024), (1, 3, 15, 15, 7))),
    {3: 128, 4: 256, 5: 512},
    3,
    _P5_ANCHORS,
    896,
  ),
  "v4-p6": _scaled(
    (conv("stem", 32), *_csp_stages(1, (64, 128, 256, 512, 1024, 1024), (1, 3, 15, 15, 7, 7))),
    {3: 128, 4: 256, 5: 512, 6: 512},
    3,
    _P6_ANCHORS,
    1280,
  ),
  "v4-p7": _scaled(
    (
      conv("stem", 40),
      *_csp_stages(1, (80, 160, 320, 640, 1280, 1280, 1280), (1, 3, 15, 15, 7, 7, 7)),
    ),
    {3: 160, 4: 320, 5: 640, 6: 640, 7: 640},
    3,
    _P7_ANCHORS,
    1536,
  ),
}
