"""Pictures of a blamed pair: values, errors by channel, maps of both sides and their difference."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image

from official.parity.keys import Key
from official.parity.report.arrays import BlamedArrays
from official.parity.report.chart import Series, log_chart
from official.parity.report.digest import engineering
from official.reports.page import Cell, Page

_BINS = 80
_CHANNELS = 512  # Dots in the chart of errors by channel, at most.
_SIDE = 256  # Of a map, at most, in pixels.
_NOT_FINITE = (255, 0, 255)
_ACTIVATIONS = ("output", "upstream", "input", "array")  # Sections of [b, h, w, c].


def add_pictures(page: Page, arrays: BlamedArrays) -> None:
  """Adds to `page` what can be drawn of `arrays`, whatever their shapes and values."""
  reference, candidate = _real(arrays.reference), _real(arrays.candidate)
  _add_values(page, reference, candidate)
  if reference.shape != candidate.shape or not reference.size:
    return
  difference = _difference(reference, candidate)
  size = np.where(np.isnan(difference), np.inf, np.abs(difference))
  worst = np.unravel_index(np.argmax(size), size.shape)
  page.paragraph(
    f"Largest difference {engineering(size[worst])} at {[int(i) for i in worst]}: "
    f"the original has {float(reference[worst])!r}, the candidate {float(candidate[worst])!r}."
  )
  page.markup(_channel_chart(size))
  if size.ndim >= 2:
    index = _slice(worst, Key.parse(arrays.name).section)
    sides = reference[index], candidate[index], difference[index]
    page.markup('<div class="maps">')
    page.images(_maps(*sides, at=_written(index)))
    page.markup("</div>")


def _real(array: np.ndarray) -> np.ndarray:
  """`array` in float64, complex numbers by their magnitude."""
  values = np.asarray(array)
  return (np.abs(values) if np.iscomplexobj(values) else values).astype(np.float64)


def _difference(reference: np.ndarray, candidate: np.ndarray) -> np.ndarray:
  """candidate − reference; 0 where both are the same infinity or both NaN."""
  equal = (reference == candidate) | (np.isnan(reference) & np.isnan(candidate))
  with np.errstate(invalid="ignore", over="ignore"):
    return np.where(equal, 0.0, candidate - reference)


def _add_values(page: Page, reference: np.ndarray, candidate: np.ndarray) -> None:
  sides = {"original": reference, "candidate": candidate}
  head = ["", "shape", "smallest", "mean", "largest", "zeros", "not finite"]
  page.table(head, [_values_row(name, array) for name, array in sides.items()])
  finite = {name: array[np.isfinite(array)] for name, array in sides.items()}
  page.markup(_histogram(finite))


def _values_row(name: str, array: np.ndarray) -> list[object]:
  finite = array[np.isfinite(array)]
  row: list[object] = [name, str(list(array.shape))]
  with np.errstate(over="ignore"):
    figures = (finite.min(), finite.mean(), finite.max()) if finite.size else ()
  row += [Cell(engineering(float(f)), "number") for f in figures] or ["", "", ""]
  return [*row, int(np.sum(array == 0)), int(array.size - finite.size)]


def _histogram(sides: dict[str, np.ndarray]) -> str:
  """How often each value occurs on either side, over the same bins."""
  values = np.concatenate([array.ravel() for array in sides.values()])
  if not values.size or not math.isfinite(float(values.max()) - float(values.min())):
    return ""
  low, high = float(values.min()), float(values.max())
  # A range that floating point cannot divide further is one value.
  finest = max(np.spacing(max(abs(low), abs(high))), np.finfo(np.float64).tiny)
  if not (high - low) / _BINS > finest:
    return ""
  edges = np.linspace(low, high, _BINS + 1)
  return log_chart("Values", "value", [_bars(n, a, edges) for n, a in sides.items()])


def _bars(name: str, array: np.ndarray, edges: np.ndarray) -> Series:
  counts, _ = np.histogram(array, edges)
  points = [
    (float(edge), float(count), "")
    for left, right, count in zip(edges, edges[1:], counts, strict=False)
    for edge in (left, right)
  ]
  return Series(name, name, points, line=True)


def _channel_chart(size: np.ndarray) -> str:
  """The largest difference of each channel, the last axis."""
  channels = size.reshape(-1, size.shape[-1] if size.ndim else 1).max(0)
  starts = np.unique(np.linspace(0, len(channels), _CHANNELS, endpoint=False).astype(int))
  points = [
    (float(start), float(error), f"channel {start}: {engineering(float(error))}")
    for start, error in zip(starts, np.maximum.reduceat(channels, starts), strict=True)
  ]
  series = Series("largest difference", "end", points)
  return log_chart("Difference by channel", "channel", [series])


def _slice(worst: Sequence[int], section: str) -> tuple[int | slice, ...]:
  """The plane through `worst`: rows and columns of an activation [b, h, w, c], else the last two
  axes."""
  rank = len(worst)
  plane = (rank - 3, rank - 2) if rank >= 4 and section in _ACTIVATIONS else (rank - 2, rank - 1)
  return tuple(slice(None) if axis in plane else int(worst[axis]) for axis in range(rank))


def _written(index: Sequence[int | slice]) -> str:
  return f"[{', '.join(':' if isinstance(i, slice) else str(i) for i in index)}]"


def _maps(
  reference: np.ndarray, candidate: np.ndarray, difference: np.ndarray, at: str
) -> list[tuple[Image.Image, str]]:
  """Three planes [h, w] as pictures with captions: both sides in one scale, and the difference."""
  both = np.concatenate([reference, candidate])
  finite = both[np.isfinite(both)]
  low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
  scale = f"{engineering(low)} dark, {engineering(high)} bright"
  differences = np.abs(difference[np.isfinite(difference)])
  reach = float(differences.max()) if differences.size else 0.0
  signs = f"candidate − original {at}: red more, blue less, up to {engineering(reach)}"
  return [
    (_picture(_sampled(reference), low, high, "viridis"), f"original {at}: {scale}"),
    (_picture(_sampled(candidate), low, high, "viridis"), f"candidate {at}: {scale}"),
    (_picture(_largest(difference), -reach, reach, "RdBu_r"), signs),
  ]


def _starts(length: int) -> np.ndarray:
  return np.unique(np.linspace(0, length, _SIDE, endpoint=False).astype(int))


def _sampled(plane: np.ndarray) -> np.ndarray:
  return plane[np.ix_(*map(_starts, plane.shape))]


def _largest(plane: np.ndarray) -> np.ndarray:
  """`plane` made smaller by its largest magnitudes, so that a single pixel is not lost."""
  for axis, length in enumerate(plane.shape):
    high = np.maximum.reduceat(plane, _starts(length), axis)
    low = np.minimum.reduceat(plane, _starts(length), axis)
    plane = np.where(high >= -low, high, low)
  return plane


def _picture(plane: np.ndarray, low: float, high: float, colours: str) -> Image.Image:
  """`plane` [h, w] in 255 colours, what is not finite in magenta; small ones are enlarged."""
  # Halves, because the whole range may overflow.
  half = high / 2 - low / 2
  with np.errstate(invalid="ignore", over="ignore"):
    share = (plane / 2 - low / 2) / half if half > 0 else np.full(plane.shape, 0.5)
    levels = np.where(np.isfinite(plane), np.clip(share, 0, 1) * 254, 255)
  palette = (matplotlib.colormaps[colours](np.linspace(0, 1, 255))[:, :3] * 255).astype(np.uint8)
  image = Image.fromarray(levels.astype(np.uint8))
  image.putpalette([*palette.ravel().tolist(), *_NOT_FINITE])
  zoom = max(1, _SIDE // max(image.size))
  return image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
