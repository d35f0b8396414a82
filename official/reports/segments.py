"""Panoptic segments with names and scores, drawn over images, and their legend."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from official.reports.boxes import Font, class_colour, draw_label, enlargement, label_font

_OPACITY = 0.55
_OUTLINE = (255, 255, 255)
_PAPER, _INK = (255, 255, 255), (28, 35, 48)
_MARGIN = 8  # Of the legend and between its lines, in pixels.

Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Segment:
  """One segment to draw.

  Attributes:
    id: its value in the map of ids.
    class_index: chooses the colour.
    name: the class's.
    score: in 0..1; None for ground truth.
  """

  id: int
  class_index: int
  name: str
  score: float | None = None


def found_segments(classes: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> list[Segment]:
  """Segments 1, 2, … of contiguous classes [n] with scores [n]; a class below 0 is none."""
  rows = enumerate(zip(classes.tolist(), scores.tolist(), strict=True), 1)
  return [Segment(i, index, names[index], score) for i, (index, score) in rows if index >= 0]


def draw_segments(
  image: np.ndarray, ids: np.ndarray, segments: Sequence[Segment], min_side: int = 320
) -> Image.Image:
  """Colours the segments of an image by class, outlines them, and names those with room for it.

  Args:
    image: [h, w, 3] uint8; small ones are enlarged to be legible.
    ids: the segment of each pixel [h, w]; what is not in `segments` keeps its colours.
    segments: what to draw.
    min_side: what the picture's sides have at least, in pixels.

  Returns:
    the picture, of the image's size times a whole number.
  """
  zoom = enlargement(image.shape, min_side)
  image, ids = (array.repeat(zoom, axis=0).repeat(zoom, axis=1) for array in (image, ids))
  places = _places(ids, segments)
  picture = Image.fromarray(_coloured(image, places, segments))
  draw, font = ImageDraw.Draw(picture), label_font(picture)
  for place, segment in enumerate(segments, 1):
    label = _label(segment)
    if corner := _room(places == place, _extent(label, font)):
      draw_label(draw, corner, label, class_colour(segment.class_index), font)
  return picture


def add_legend(picture: Image.Image, segments: Sequence[Segment]) -> Image.Image:
  """The picture with its classes listed at the right, each with the number of its segments.

  The list is as high as the picture; it has as many columns as that asks for.
  """
  font = label_font(picture)
  lines = _legend_lines(segments)
  step = _extent("Ag", font)[1] + _MARGIN
  width = max([_extent(text, font)[0] for _, text in lines], default=0) + step + 2 * _MARGIN
  rows = max(1, (picture.height - _MARGIN) // step)
  columns = -(-len(lines) // rows)
  sheet = Image.new("RGB", (picture.width + columns * width, picture.height), _PAPER)
  sheet.paste(picture, (0, 0))
  draw = ImageDraw.Draw(sheet)
  for place, (colour, text) in enumerate(lines):
    column, row = divmod(place, rows)
    x, y = picture.width + column * width + _MARGIN, row * step + _MARGIN
    side = step - _MARGIN
    draw.rectangle((x, y, x + side, y + side), fill=colour)
    draw.text((x + step, y + side / 2), text, fill=_INK, font=font, anchor="lm")
  return sheet


def _legend_lines(segments: Sequence[Segment]) -> list[tuple[Colour, str]]:
  """Colour and text of each class that is there, in the order of the classes."""
  names = {segment.class_index: segment.name for segment in segments}
  counts = {index: sum(s.class_index == index for s in segments) for index in names}
  return [
    (class_colour(index), f"{name} ({counts[index]})" if counts[index] > 1 else name)
    for index, name in sorted(names.items())
  ]


def _coloured(image: np.ndarray, places: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
  """The image [h, w, 3] uint8 under its segments' colours, with outlines."""
  colours = np.array([(0, 0, 0), *(class_colour(segment.class_index) for segment in segments)])
  mixed = np.round((1 - _OPACITY) * image + _OPACITY * colours[places]).astype(np.uint8)
  pixels = np.where((places > 0)[..., None], mixed, image)
  pixels[_outlines(places)] = _OUTLINE
  return pixels


def _places(ids: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
  """Of each pixel the place of its segment in the list, from 1; 0 where it is in none."""
  known = np.array([segment.id for segment in segments], np.int64)
  order = np.argsort(known)
  found = np.searchsorted(known[order], ids)
  is_known = np.append(known[order], -1)[found] == ids
  return np.where(is_known, np.append(order, -1)[found] + 1, 0)


def _outlines(places: np.ndarray) -> np.ndarray:
  """Pixels [h, w] bool whose right or lower neighbour is of another segment."""
  outlines = np.zeros(places.shape, bool)
  outlines[:, :-1] |= places[:, :-1] != places[:, 1:]
  outlines[:-1] |= places[:-1] != places[1:]
  return outlines


def _label(segment: Segment) -> str:
  return segment.name if segment.score is None else f"{segment.name} {segment.score:.2f}"


def _extent(text: str, font: Font) -> tuple[int, int]:
  """Width and height of a label's plate, see `draw_label`."""
  left, top, right, bottom = font.getbbox(text)
  return int(right - left) + 5, int(bottom - top) + 5


def _room(mask: np.ndarray, extent: tuple[int, int]) -> tuple[float, float] | None:
  """A corner (x, y) for `draw_label` such that the plate lies inside the mask [h, w].

  Of all such corners the one that puts the plate nearest to the mask's middle; None where it fits
  nowhere.
  """
  width, height = extent
  if mask.shape[0] < height or mask.shape[1] < width:
    return None
  sums = np.pad(mask, ((1, 0), (1, 0))).cumsum(0, np.int32).cumsum(1)
  inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
  rows, columns = np.nonzero(inside + sums[:-height, :-width] == width * height)
  if not len(rows):
    return None
  y, x = (indices.mean() for indices in np.nonzero(mask))
  best = np.argmin((rows + height / 2 - y) ** 2 + (columns + width / 2 - x) ** 2)
  return float(columns[best]), float(rows[best] + height - 1)
