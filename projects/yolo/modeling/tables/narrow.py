"""Narrow forms, which two cores can train: of nobody's paper."""

from projects.yolo.modeling.tables.scaled import SCALED
from projects.yolo.modeling.variant import Variant

NARROW: dict[str, Variant] = {"v4-csp-narrow": SCALED["v4-csp"].narrowed(4)}
