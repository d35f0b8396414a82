"""All planted defects, and what they have to look like."""

from benchmarks.parity.defects import (
  attention,
  convolution,
  losses,
  normalization,
  preprocessing,
  training,
  transfer,
  wiring,
)
from benchmarks.parity.defects.planting import Defect

DEFECTS: tuple[Defect, ...] = (
  *transfer.DEFECTS,
  *normalization.DEFECTS,
  *convolution.DEFECTS,
  *attention.DEFECTS,
  *wiring.DEFECTS,
  *losses.DEFECTS,
  *training.DEFECTS,
  *preprocessing.DEFECTS,
)

BY_TITLE: dict[str, Defect] = {defect.title: defect for defect in DEFECTS}
