"""Every network of the original's model zoo, and a small one: one table.

What data sets alone differ in (how many classes) is no part of it. Of Swin's published networks,
tiny and small have windows of 7, base and large of 12, for they were trained at 384² before.
"""

import dataclasses
from collections.abc import Sequence

from official.cli.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class ResNetSizes:
  """Of `backbones.resnet.ResNet`, whose arguments these are."""

  depths: Sequence[int]
  stem: int = 64
  filters: Sequence[int] = (256, 512, 1024, 2048)
  deep_stem: bool = False
  dilations: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class SwinSizes:
  """Of `backbones.swin.Swin`, whose arguments these are."""

  width: int
  depths: Sequence[int]
  heads: Sequence[int]
  window: int


@dataclasses.dataclass(frozen=True)
class Variant:
  """A network.

  Attributes:
    backbone: its sizes.
    kind: "mask" for MaskFormer, "per_pixel" and "per_pixel_plus" for the baselines.
    encoder_layers: of the pixel decoder; 0: the pyramid alone.
    decoder_layers: of the transformer decoder.
    queries: how many; PerPixelBaseline+ has one for each class instead.
    width: channels of the pyramid, the transformers and the pixel embeddings.
    heads: of every attention, outside the backbone.
    hidden: channels inside the transformers' MLPs.
  """

  backbone: ResNetSizes | SwinSizes
  kind: str = "mask"
  encoder_layers: int = 0
  decoder_layers: int = 6
  queries: int = 100
  width: int = 256
  heads: int = 8
  hidden: int = 2048


R50 = ResNetSizes((3, 4, 6, 3))
R101 = ResNetSizes((3, 4, 23, 3))
R101C = ResNetSizes((3, 4, 23, 3), stem=128, deep_stem=True, dilations=(1, 2, 4))
SWIN_TINY = SwinSizes(96, (2, 2, 6, 2), (3, 6, 12, 24), 7)
SWIN_SMALL = SwinSizes(96, (2, 2, 18, 2), (3, 6, 12, 24), 7)
SWIN_BASE = SwinSizes(128, (2, 2, 18, 2), (4, 8, 16, 32), 12)
SWIN_LARGE = SwinSizes(192, (2, 2, 18, 2), (6, 12, 24, 48), 12)
_TINY = ResNetSizes((2, 3, 3), stem=32, filters=(64, 128, 256), deep_stem=True)

VARIANTS = {
  "r50": Variant(R50),
  "r101": Variant(R101),
  "r101c": Variant(R101C),
  "r50_encoder": Variant(R50, encoder_layers=6),
  "r101_encoder": Variant(R101, encoder_layers=6),
  "swin_tiny": Variant(SWIN_TINY),
  "swin_small": Variant(SWIN_SMALL),
  "swin_base": Variant(SWIN_BASE),
  "swin_large": Variant(SWIN_LARGE),
  "per_pixel_r50": Variant(R50, "per_pixel"),
  "per_pixel_plus_r50": Variant(R50, "per_pixel_plus"),
  "tiny": Variant(_TINY, decoder_layers=3, queries=20, width=64, heads=4, hidden=256),
  "tiny_50": Variant(_TINY, decoder_layers=3, queries=50, width=64, heads=4, hidden=256),
}


def get_variant(name: str) -> Variant:
  """The table's entry; raises `UserError` with the nearest name where there is none."""
  if name not in VARIANTS:
    raise UserError(f"no MaskFormer variant '{name}'{nearest(name, VARIANTS)}")
  return VARIANTS[name]
