"""YOLOv3 and YOLOv4 (Redmon & Farhadi 2018; Bochkovskiy et al. 2020), and their tiny forms.

Source: the `.cfg` files that AlexeyAB's Darknet trains.
"""

from projects.yolo.modeling.blocks import (
  alternating,
  csp_stage,
  csp_tiny,
  darknet_stage,
  fpn_up,
  pan_down,
  pan_up,
  plain_spp,
)
from projects.yolo.modeling.rows import Row, Rows, concat, conv, pool, upsample
from projects.yolo.modeling.variant import Anchors, Variant

_TINY_ANCHORS: Anchors = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
_V3_ANCHORS: Anchors = (
  *((10, 13), (16, 30), (33, 23)),
  *((30, 61), (62, 45), (59, 119)),
  *((116, 90), (156, 198), (373, 326)),
)
_V4_ANCHORS: Anchors = (
  *((12, 16), (19, 36), (40, 28)),
  *((36, 75), (76, 55), (72, 146)),
  *((142, 110), (192, 243), (459, 401)),
)
_HEAD = {3: 256, 4: 512, 5: 1024}


def _tiny_pyramid(lateral: str) -> Rows:
  """The two-level decoder of both tiny networks."""
  return (
    conv("p5", 256, 1, source="c5"),
    conv("p4/top", 128, 1),
    upsample("p4/up"),
    concat("p4", "p4/up", lateral),
  )


def _by_level(anchors: Anchors) -> dict[int, Anchors]:
  return {3: anchors[0:3], 4: anchors[3:6], 5: anchors[6:9]}


DARKNET53: Rows = (
  conv("stem", 32),
  *darknet_stage("c1", 64, 1),
  *darknet_stage("c2", 128, 2),
  *darknet_stage("c3", 256, 8),
  *darknet_stage("c4", 512, 8),
  *darknet_stage("c5", 1024, 4),
)
CSPDARKNET53: Rows = (
  conv("stem", 32),
  *csp_stage("c1", 64, 1, width=64, bottleneck=32),
  *csp_stage("c2", 128, 2),
  *csp_stage("c3", 256, 8),
  *csp_stage("c4", 512, 8),
  *csp_stage("c5", 1024, 4),
)


def _v3(top: Rows, input_size: int) -> Variant:
  """YOLOv3 with the rows `top` between `c5` and `p5`."""
  return Variant(
    backbone=DARKNET53,
    decoder=(*top, *fpn_up("p4", 256, "c4"), *fpn_up("p3", 128, "c3")),
    head=_HEAD,
    anchors=_by_level(_V3_ANCHORS),
    activation="leaky",
    coordinates="exponential",
    scale_xy={3: 1.0, 4: 1.0, 5: 1.0},
    input_size=input_size,
  )


DARKNET: dict[str, Variant] = {
  "v3": _v3(alternating("p5", 512, source="c5"), 416),
  "v3-spp": _v3(plain_spp("p5", 512, "c5"), 608),
  "v3-tiny": Variant(
    backbone=(
      *(conv("stem", 16), pool("stem/pool")),
      *(conv("c1", 32), pool("c1/pool")),
      *(conv("c2", 64), pool("c2/pool")),
      *(conv("c3", 128), pool("c3/pool")),
      *(conv("c4", 256), pool("c4/pool")),
      *(conv("c5/in", 512), pool("c5/pool", 2, 1)),
      conv("c5", 1024),
    ),
    decoder=_tiny_pyramid("c4"),
    head={4: 256, 5: 512},
    anchors={4: _TINY_ANCHORS[0:3], 5: _TINY_ANCHORS[3:6]},
    activation="leaky",
    coordinates="exponential",
    scale_xy={4: 1.0, 5: 1.0},
    input_size=416,
  ),
  "v4": Variant(
    backbone=CSPDARKNET53,
    decoder=(
      *plain_spp("n5", 512, "c5"),
      *pan_up("n4", 256, "c4"),
      *pan_up("p3", 128, "c3"),
      *pan_down("p4", 256, "p3", "n4"),
      *pan_down("p5", 512, "p4", "n5"),
    ),
    head=_HEAD,
    anchors=_by_level(_V4_ANCHORS),
    activation="mish",
    coordinates="exponential",
    scale_xy={3: 1.2, 4: 1.1, 5: 1.05},
    input_size=608,
    pyramid_activation="leaky",
  ),
  "v4-tiny": Variant(
    backbone=(
      conv("stem", 32, strides=2),
      conv("c2/down", 64, strides=2),
      *(*csp_tiny("c2", 64), pool("c2/pool")),
      *(*csp_tiny("c3", 128), pool("c3/pool")),
      *(*csp_tiny("c4/csp", 256), pool("c4/pool")),
      conv("c5", 512),
      Row("c4", "linear", ("c4/csp/merge",)),
    ),
    decoder=_tiny_pyramid("c4"),
    head={4: 256, 5: 512},
    anchors={4: _TINY_ANCHORS[1:4], 5: _TINY_ANCHORS[3:6]},
    activation="leaky",
    coordinates="exponential",
    scale_xy={4: 1.05, 5: 1.05},
    input_size=416,
  ),
}
