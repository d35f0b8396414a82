"""The variants, one table: what each network is made of, from its Darknet configuration.

Source: the `.cfg` files that AlexeyAB's Darknet trains. Anchors are width, height in pixels of the
configuration's own input. Head filters are those of the 3×3 convolution in front of each output.
"""

import dataclasses

from official.cli.errors import UserError, nearest
from projects.yolo.modeling.rows import (
  Row,
  Rows,
  concat,
  conv,
  csp_down,
  csp_spp,
  csp_stage,
  csp_tiny,
  csp_up,
  pool,
  residual,
  upsample,
)

Anchors = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Variant:
  """One network.

  Attributes:
    backbone: rows from the image to the features named `c3`, `c4`, `c5` (stride 2ⁿ at `cn`).
    decoder: rows from those features to the pyramid named `p3`, `p4`, `p5`.
    head: filters in front of each output, by level.
    anchors: of each level.
    activation: of every convolution but the outputs.
    coordinates: how outputs become boxes, a key of `decoding.DECODERS`.
    scale_xy: how far a box centre may leave its cell, 1 for not at all (Bochkovskiy et al. 2020).
    input_size: side of the configuration's square input, in pixels.
  """

  backbone: Rows
  decoder: Rows
  head: dict[int, int]
  anchors: dict[int, Anchors]
  activation: str
  coordinates: str
  scale_xy: float
  input_size: int

  @property
  def levels(self) -> tuple[int, ...]:
    """Levels with an output, ascending; the stride of level l is 2ˡ."""
    return tuple(sorted(self.head))


_TINY_ANCHORS: Anchors = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
_CSP_ANCHORS: Anchors = (
  *((12, 16), (19, 36), (40, 28)),
  *((36, 75), (76, 55), (72, 146)),
  *((142, 110), (192, 243), (459, 401)),
)


def _tiny_pyramid(lateral: str) -> Rows:
  """The two-level decoder of both tiny networks."""
  return (
    conv("p5", 256, 1, source="c5"),
    conv("p4/top", 128, 1),
    upsample("p4/up"),
    concat("p4", "p4/up", lateral),
  )


VARIANTS: dict[str, Variant] = {
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
    scale_xy=1.0,
    input_size=416,
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
    scale_xy=1.05,
    input_size=416,
  ),
  "v4-csp": Variant(
    backbone=(
      conv("stem", 32),
      conv("c1/down", 64, strides=2),
      *residual("c1", 64, "c1/down", bottleneck=32),
      *csp_stage("c2", 128, 2),
      *csp_stage("c3", 256, 8),
      *csp_stage("c4", 512, 8),
      *csp_stage("c5", 1024, 4),
    ),
    decoder=(
      *csp_spp("n5", 512),
      *csp_up("n4", 256, lateral="c4"),
      *csp_up("p3", 128, lateral="c3"),
      *csp_down("p4", 256, source="p3", lateral="n4"),
      *csp_down("p5", 512, source="p4", lateral="n5"),
    ),
    head={3: 256, 4: 512, 5: 1024},
    anchors={3: _CSP_ANCHORS[0:3], 4: _CSP_ANCHORS[3:6], 5: _CSP_ANCHORS[6:9]},
    activation="mish",
    coordinates="scaled",
    scale_xy=2.0,
    input_size=512,
  ),
}


def get_variant(name: str) -> Variant:
  """The table's entry; raises `UserError` with the nearest name where there is none."""
  if name not in VARIANTS:
    raise UserError(f"no YOLO variant '{name}'{nearest(name, VARIANTS)}")
  return VARIANTS[name]
