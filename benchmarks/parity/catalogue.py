"""All planted defects, and all clean runs."""

from benchmarks.parity.cases.all import BLOCKS, CASES
from benchmarks.parity.defects import (
  attention,
  convolution,
  losses,
  normalization,
  preprocessing,
  training,
  transfer,
  wiring,
  yolo,
)
from benchmarks.parity.defects.planting import Defect
from official.parity.case import PRECISIONS

DEFECTS: tuple[Defect, ...] = (
  *transfer.DEFECTS,
  *normalization.DEFECTS,
  *convolution.DEFECTS,
  *attention.DEFECTS,
  *wiring.DEFECTS,
  *losses.DEFECTS,
  *training.DEFECTS,
  *preprocessing.DEFECTS,
  *yolo.DEFECTS,
)

BY_TITLE: dict[str, Defect] = {defect.title: defect for defect in DEFECTS}

# Case, whether in its other size, precision, seed of weights and batch.
CLEAN: tuple[tuple[str, bool, str, int], ...] = tuple(
  (name, other_size, precision, 10 * index + other_size)
  for index, precision in enumerate(PRECISIONS, 1)
  for other_size in (False, True)
  for name in (BLOCKS if other_size else CASES)
)
