"""All variants, one table a generation, and one of narrow forms."""

from official.cli.errors import UserError, nearest
from projects.yolo.modeling.tables.darknet import DARKNET
from projects.yolo.modeling.tables.narrow import NARROW
from projects.yolo.modeling.tables.scaled import SCALED
from projects.yolo.modeling.tables.v7 import V7
from projects.yolo.modeling.variant import Variant

VARIANTS: dict[str, Variant] = DARKNET | SCALED | V7 | NARROW


def get_variant(name: str) -> Variant:
  """The table's entry; raises `UserError` with the nearest name where there is none."""
  if name not in VARIANTS:
    raise UserError(f"no YOLO variant '{name}'{nearest(name, VARIANTS)}")
  return VARIANTS[name]
