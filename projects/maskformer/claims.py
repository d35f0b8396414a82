"""What the original's model zoo publishes: a row for each experiment.

The third figure is mean IoU with six sizes of the image, each mirrored too.
"""

from collections.abc import Mapping
from typing import NamedTuple

from official.dossiers.dossier import Claim

ZOO = "https://github.com/facebookresearch/MaskFormer/blob/main/MODEL_ZOO.md"


class Published(NamedTuple):
  """A row of the zoo.

  Attributes:
    variant: of `projects.maskformer.modeling.variants.VARIANTS`.
    metric: PQ or mIoU.
    value: in 0..1.
    many_views: mean IoU over many views; None where there is none.
  """

  variant: str
  metric: str
  value: float
  many_views: float | None = None


class Ground(NamedTuple):
  """What networks are measured on: the data, and the shortest side of its images in pixels."""

  data: str
  size: int


GROUNDS: Mapping[str, Ground] = {
  "coco_panoptic": Ground("COCO panoptic val2017", 800),
  "ade20k": Ground("ADE20K-150 val", 512),
  "ade20k_panoptic": Ground("ADE20K-150 panoptic val", 640),
  "ade20k_full": Ground("ADE20K-Full-847 val", 512),
  "coco_stuff_10k": Ground("COCO-Stuff-10k test", 640),
  "cityscapes": Ground("Cityscapes val", 1024),
  "mapillary": Ground("Mapillary Vistas val", 2048),
}

PUBLISHED: Mapping[str, Published] = {
  "r50_coco_panoptic": Published("r50_encoder", "PQ", 0.465),
  "r101_coco_panoptic": Published("r101_encoder", "PQ", 0.476),
  "swin_tiny_coco_panoptic": Published("swin_tiny", "PQ", 0.477),
  "swin_small_coco_panoptic": Published("swin_small", "PQ", 0.497),
  "swin_base_coco_panoptic": Published("swin_base", "PQ", 0.518),
  "swin_large_coco_panoptic": Published("swin_large", "PQ", 0.527),
  "per_pixel_r50_ade20k": Published("per_pixel_r50", "mIoU", 0.392, 0.409),
  "per_pixel_plus_r50_ade20k": Published("per_pixel_plus_r50", "mIoU", 0.419, 0.429),
  "r50_ade20k": Published("r50", "mIoU", 0.445, 0.467),
  "r101_ade20k": Published("r101", "mIoU", 0.455, 0.472),
  "r101c_ade20k": Published("r101c", "mIoU", 0.460, 0.481),
  "swin_tiny_ade20k": Published("swin_tiny", "mIoU", 0.467, 0.488),
  "swin_small_ade20k": Published("swin_small", "mIoU", 0.498, 0.510),
  "swin_base_ade20k": Published("swin_base", "mIoU", 0.527, 0.539),
  "swin_large_ade20k": Published("swin_large", "mIoU", 0.541, 0.556),
  "r50_ade20k_panoptic": Published("r50_encoder", "PQ", 0.347),
  "r101_ade20k_panoptic": Published("r101_encoder", "PQ", 0.357),
  "per_pixel_r50_ade20k_full": Published("per_pixel_r50", "mIoU", 0.124),
  "per_pixel_plus_r50_ade20k_full": Published("per_pixel_plus_r50", "mIoU", 0.139),
  "r50_ade20k_full": Published("r50", "mIoU", 0.160),
  "r101_ade20k_full": Published("r101", "mIoU", 0.168),
  "r101c_ade20k_full": Published("r101c", "mIoU", 0.174),
  "per_pixel_r50_coco_stuff_10k": Published("per_pixel_r50", "mIoU", 0.324, 0.344),
  "per_pixel_plus_r50_coco_stuff_10k": Published("per_pixel_plus_r50", "mIoU", 0.342, 0.358),
  "r50_coco_stuff_10k": Published("r50", "mIoU", 0.371, 0.389),
  "r101_coco_stuff_10k": Published("r101", "mIoU", 0.381, 0.398),
  "r101c_coco_stuff_10k": Published("r101c", "mIoU", 0.380, 0.393),
  "r101_cityscapes": Published("r101", "mIoU", 0.785, 0.803),
  "r101c_cityscapes": Published("r101c", "mIoU", 0.797, 0.814),
  "r50_mapillary": Published("r50", "mIoU", 0.531, 0.554),
}


def claims(variant: str) -> tuple[Claim, ...]:
  """What is claimed for a network, on all data it was trained on."""
  return tuple(
    Claim(row.metric, row.value, ground(name).data, ground(name).size, ZOO)
    for name, row in PUBLISHED.items()
    if row.variant == variant
  )


def experiments(variant: str) -> list[str]:
  """The registered experiments that train a network as its authors did, the first one first."""
  return [f"maskformer_{name}" for name, row in PUBLISHED.items() if row.variant == variant]


def ground(name: str) -> Ground:
  """What the row `name` was measured on; Swin-B and -L saw ADE20K at 640."""
  row = PUBLISHED[name]
  found = GROUNDS[name.removeprefix(f"{row.variant.removesuffix('_encoder')}_")]
  large = row.variant in ("swin_base", "swin_large")
  return found._replace(size=640) if large and found is GROUNDS["ade20k"] else found
