"""What is annotated on images, as plain dataclasses; `coco.py` reads them from files."""

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Category:
  """A row of the category table; `id` is the one in the files, not contiguous."""

  id: int
  name: str
  isthing: bool


@dataclass(frozen=True, slots=True)
class Object:
  """An object: `box` is (xmin, ymin, xmax, ymax) in pixels, `area` in pixels².

  `segmentation` is as in the file (polygons or run lengths); None where it was not asked for or
  where the object is the panoptic segment of the same id.
  """

  id: int
  category_id: int
  box: tuple[float, float, float, float]
  area: float
  is_crowd: bool
  segmentation: Any = None


@dataclass(frozen=True, slots=True)
class Segment:
  """A panoptic segment; `id` is its colour in the mask: R + 256 G + 65536 B.

  `box` is (xmin, ymin, xmax, ymax) in pixels, `area` in pixels².
  """

  id: int
  category_id: int
  box: tuple[float, float, float, float]
  area: float
  is_crowd: bool


@dataclass(frozen=True, slots=True)
class Panoptic:
  """The panoptic mask of an image: the PNG's name and its segments."""

  file_name: str
  segments: tuple[Segment, ...]


@dataclass(slots=True)
class Image:
  """An image with what is annotated on it; sizes in pixels."""

  id: int
  file_name: str
  height: int
  width: int
  objects: list[Object] = dataclasses.field(default_factory=list)
  panoptic: Panoptic | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
  """Images in the order of the file; categories things first, each part in the order of the ids."""

  images: tuple[Image, ...]
  categories: tuple[Category, ...]
