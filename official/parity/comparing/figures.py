"""Arrays of which only figures are kept: the figures are compared, which is weaker.

One value that is off moves every projection, but by less than by what it is off itself, measured by
the whole: beside n values of its size, an error has to be √n times as large to be seen.
"""

import numpy as np

from official.parity.comparing import layouts
from official.parity.comparing.layouts import LayoutError
from official.parity.recording.tiers import Statistics


def of(array: np.ndarray, layout: str, shape: tuple[int, ...]) -> np.ndarray:
  """The figures of a candidate's array, laid out as the original's.

  Args:
    array: the candidate's.
    layout: from the original's axes to the candidate's; empty: the same.
    shape: of the original's array.

  Raises:
    LayoutError: `array` is not of that shape, once it is laid out so.
  """
  if layout:
    array = layouts.convert(array, layouts.inverse(layout), shape)
  if array.shape != shape:
    raise LayoutError(f"shapes differ: {list(array.shape)}, in the original {list(shape)}")
  return vector(Statistics.of(array))


def vector(statistics: Statistics) -> np.ndarray:
  """[128] figures of like magnitude; not a number where an entry is not finite."""
  entries = max(statistics.count, 1.0)
  figures = np.concatenate([statistics.projections / np.sqrt(entries), statistics.samples])
  broken = statistics.nan + statistics.positive_infinite + statistics.negative_infinite
  return np.full_like(figures, np.nan) if broken else figures
