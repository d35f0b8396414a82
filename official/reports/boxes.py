"""Boxes with names and scores, drawn on images."""

import colorsys
import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_GOLDEN_RATIO = 0.618034  # Steps of it spread hues evenly, however many classes there are.


@dataclasses.dataclass(frozen=True)
class Box:
  """One box to draw.

  Attributes:
    yxyx: ymin, xmin, ymax, xmax in pixels.
    class_index: chooses the colour.
    label: text at the box's top.
  """

  yxyx: tuple[float, float, float, float]
  class_index: int
  label: str


def class_colour(index: int) -> tuple[int, int, int]:
  """A colour of its own for each class, the same in every picture."""
  red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, 0.85, 0.95)
  return round(255 * red), round(255 * green), round(255 * blue)


def detections_to_boxes(
  detections: dict[str, np.ndarray], names: Sequence[str], score_threshold: float
) -> list[Box]:
  """One image's detections (see `nms.detect`, boxes in the image's pixels) at or above a score."""
  rows = zip(detections["boxes"], detections["classes"], detections["scores"], strict=True)
  return [
    Box(tuple(box.tolist()), int(index), f"{names[int(index)]} {score:.2f}")
    for box, index, score in rows
    if index >= 0 and score >= score_threshold
  ]


def truth_to_boxes(truth: dict[str, np.ndarray], names: Sequence[str]) -> list[Box]:
  """One image's ground truth: `boxes`, `classes`, `is_crowd` and `valid`."""
  rows = zip(*(truth[key] for key in ("boxes", "classes", "is_crowd", "valid")), strict=True)
  return [
    Box(tuple(box.tolist()), int(index), names[int(index)] + (" (crowd)" if crowd else ""))
    for box, index, crowd, valid in rows
    if valid
  ]


def draw_boxes(image: np.ndarray, boxes: Sequence[Box], min_side: int = 320) -> Image.Image:
  """Draws boxes on a copy of `image` [h, w, 3] uint8; small images are enlarged to be legible."""
  zoom = enlargement(image.shape, min_side)
  picture = Image.fromarray(image.repeat(zoom, axis=0).repeat(zoom, axis=1))
  draw = ImageDraw.Draw(picture)
  line = max(2, min(picture.size) // 250)
  font = label_font(picture)
  for box in boxes:
    ymin, xmin, ymax, xmax = (zoom * side for side in box.yxyx)
    colour = class_colour(box.class_index)
    corners = (xmin, ymin, max(xmin, xmax), max(ymin, ymax))
    draw.rectangle(corners, outline=colour, width=line)
    draw_label(draw, (xmin, ymin), box.label, colour, font)
  return picture


def enlargement(shape: tuple[int, ...], min_side: int) -> int:
  """The whole factor by which an image [h, w, ...] is enlarged to have sides of `min_side`."""
  return max(1, -(-min_side // min(shape[:2])))


def label_font(picture: Image.Image) -> Font:
  """The font of labels, sized for the picture."""
  return ImageFont.load_default(max(11, min(picture.size) // 32))


def draw_label(
  draw: ImageDraw.ImageDraw,
  corner: tuple[float, float],
  label: str,
  colour: tuple[int, int, int],
  font: Font,
) -> None:
  """Text on a plate of the box's colour, above the corner, or below it at the image's edge."""
  left, top, right, bottom = draw.textbbox((0, 0), label, font=font)
  x, y = max(corner[0], 0), corner[1] - (bottom - top) - 4
  y = y if y >= 0 else corner[1]
  draw.rectangle((x, y, x + right - left + 4, y + bottom - top + 4), fill=colour)
  draw.text((x + 2 - left, y + 2 - top), label, fill=ink_on(colour), font=font)


def ink_on(colour: tuple[int, int, int]) -> str:
  """The colour of text that is legible on `colour`."""
  return "black" if sum(colour) > 380 else "white"
