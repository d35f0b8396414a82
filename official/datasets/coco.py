"""COCO annotation files (instances and panoptic) read into plain, validated dataclasses.

The formats are those of https://cocodataset.org/#format-data. A box may stick out of its image by
up to one pixel (COCO's own do, by rounding) and is clipped; further out it is a problem.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from official.cli.errors import UserError
from official.datasets import fields
from official.datasets.annotations import Category, Dataset, Image, Object, Panoptic, Segment
from official.datasets.fields import Record
from official.datasets.problems import BadInput, Problems

_BOX_TOLERANCE = 1.0  # Pixels.


def load(
  instances: Path | None,
  panoptic: Path | None,
  problems: Problems,
  segmentations: bool = False,
) -> Dataset:
  """Reads an instances file, a panoptic file, or both.

  With both, the instances file gives the images and the objects; with a panoptic file alone its
  thing segments are the objects.

  Args:
    instances: path of an instances JSON file.
    panoptic: path of a panoptic JSON file.
    problems: receives what is wrong with single images and annotations, which are left out.
    segmentations: whether to keep the objects' segmentations.

  Raises:
    UserError: when a file as a whole is of no use (missing, broken, contradictory tables), or
      for the first problem where `problems` stops.
  """
  paths = [path for path in (instances, panoptic) if path]
  if not paths:
    raise UserError("no annotations: give --instances, --panoptic or both")
  contents = {path: _read_json(path) for path in paths}
  categories = _read_categories(contents)
  reader = _Reader(categories, problems)
  images = reader.read_images(paths[0], contents[paths[0]]["images"])
  if instances:
    reader.read_objects(instances, contents[instances]["annotations"], images, segmentations)
  if panoptic:
    reader.read_panoptics(
      panoptic, contents[panoptic]["annotations"], images, make_objects=not instances
    )
    images = reader.with_panoptic(panoptic, images)
  return Dataset(tuple(images.values()), tuple(categories.values()))


class _Reader:
  """Reads the lists of the files against one category table."""

  def __init__(self, categories: dict[int, Category], problems: Problems) -> None:
    self._categories = categories
    self._problems = problems

  def read_images(self, path: Path, records: list[Any]) -> dict[int, Image]:
    images: dict[int, Image] = {}
    for image in self._each(path, "image", "id", records, _parse_image):
      if image.id in images:
        self._problems.report(f"{path}: image id {image.id}: the id is used twice")
      else:
        images[image.id] = image
    return images

  def read_objects(
    self, path: Path, records: list[Any], images: dict[int, Image], segmentations: bool
  ) -> None:
    seen: set[int] = set()

    def parse(record: Record) -> None:
      identity = fields.integer(record, "id")
      if identity in seen:
        raise BadInput("the id is used twice")
      seen.add(identity)
      image = _image_of(record, images)
      shape = record["segmentation"] if segmentations else None
      image.objects.append(self._parse_object(record, image, shape))

    for _ in self._each(path, "annotation", "id", records, parse):
      pass

  def read_panoptics(
    self, path: Path, records: list[Any], images: dict[int, Image], make_objects: bool
  ) -> None:
    def parse(record: Record) -> None:
      image = _image_of(record, images)
      if image.panoptic:
        raise BadInput("the image has two panoptic annotations")
      rows = fields.items(record, "segments_info")
      segments = tuple(self._parse_segment(row, image) for row in rows)
      if len({segment.id for segment in segments}) < len(segments):
        raise BadInput("two segments have the same id")
      image.panoptic = Panoptic(fields.text(record, "file_name"), segments)
      if make_objects:
        image.objects.extend(map(_object_of, filter(self._is_thing, segments)))

    for _ in self._each(path, "panoptic annotation of image", "image_id", records, parse):
      pass

  def with_panoptic(self, path: Path, images: dict[int, Image]) -> dict[int, Image]:
    """Those of `images` that have a panoptic annotation; the others are problems."""
    for image in images.values():
      if not image.panoptic:
        self._problems.report(f"{path}: image id {image.id}: no (usable) panoptic annotation")
    return {key: image for key, image in images.items() if image.panoptic}

  def _parse_object(self, record: Record, image: Image, segmentation: Any) -> Object:
    category = self._category(record)
    if not category.isthing:
      raise BadInput(f"category {category.id} '{category.name}' is stuff, and an object is a thing")
    return Object(
      id=fields.integer(record, "id"),
      category_id=category.id,
      box=_clipped_box(record["bbox"], image),
      area=fields.positive(record, "area"),
      is_crowd=fields.flag(record, "iscrowd"),
      segmentation=segmentation,
    )

  def _parse_segment(self, row: Any, image: Image) -> Segment:
    record = fields.mapping(row)
    return Segment(
      id=fields.integer(record, "id"),
      category_id=self._category(record).id,
      box=_clipped_box(record["bbox"], image),
      area=fields.positive(record, "area"),
      is_crowd=fields.flag(record, "iscrowd"),
    )

  def _is_thing(self, segment: Segment) -> bool:
    return self._categories[segment.category_id].isthing

  def _category(self, record: Record) -> Category:
    identity = fields.integer(record, "category_id")
    if identity not in self._categories:
      raise BadInput(f"category {identity} is not in the table")
    return self._categories[identity]

  def _each(
    self,
    path: Path,
    kind: str,
    key: str,
    records: Iterable[Any],
    parse: Callable[[Record], Any],
  ) -> Iterator[Any]:
    """Yields `parse(record)`; what it objects to becomes a problem that names file and id."""
    for record in records:
      name = record.get(key, "(none)") if isinstance(record, dict) else "(none)"
      try:
        yield parse(fields.mapping(record))
      except BadInput as error:
        self._problems.report(f"{path}: {kind} id {name}: {error}")
      except KeyError as error:
        self._problems.report(f"{path}: {kind} id {name}: no field {error}")


def _read_json(path: Path) -> Record:
  try:
    content = json.loads(path.read_bytes())
  except OSError as error:
    raise UserError(f"cannot read {path}: {error.strerror}") from error
  except ValueError as error:
    raise UserError(f"{path} is not JSON: {error}") from error
  for key in ("images", "annotations", "categories"):
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
      raise UserError(f"{path} is not a COCO annotation file: it has no list '{key}'")
  return content


def _read_categories(contents: dict[Path, Record]) -> dict[int, Category]:
  """The table of all files together; where only one says `isthing`, that one counts."""
  things: dict[int, bool] = {}
  names: dict[int, str] = {}
  for path, content in contents.items():
    seen: set[int] = set()
    for record in content["categories"]:
      try:
        identity, name = fields.integer(fields.mapping(record), "id"), fields.text(record, "name")
      except BadInput as error:
        raise UserError(f"{path}: category {record}: {error}") from error
      except KeyError as error:
        raise UserError(f"{path}: category {record}: no field {error}") from error
      if identity in seen or names.setdefault(identity, name) != name:
        raise UserError(f"{path}: category id {identity} '{name}' is in the table twice")
      seen.add(identity)
      if "isthing" in record:
        things[identity] = bool(record["isthing"])
  table = [Category(key, name, things.get(key, True)) for key, name in names.items()]
  table.sort(key=lambda category: (not category.isthing, category.id))
  return {category.id: category for category in table}


def _parse_image(record: Record) -> Image:
  image = Image(
    id=fields.integer(record, "id"),
    file_name=fields.text(record, "file_name"),
    height=fields.integer(record, "height"),
    width=fields.integer(record, "width"),
  )
  if image.height <= 0 or image.width <= 0:
    raise BadInput(f"the size {image.width}x{image.height} is not positive")
  return image


def _image_of(record: Record, images: dict[int, Image]) -> Image:
  identity = fields.integer(record, "image_id")
  if identity not in images:
    raise BadInput(f"image {identity} is not in the list of (usable) images")
  return images[identity]


def _object_of(segment: Segment) -> Object:
  return Object(segment.id, segment.category_id, segment.box, segment.area, segment.is_crowd)


def _clipped_box(box: Any, image: Image) -> tuple[float, float, float, float]:
  if not isinstance(box, list) or len(box) != 4 or not all(map(fields.is_number, box)):
    raise BadInput(f"box {box} is not four numbers")
  left, top = box[0], box[1]
  right, bottom = left + box[2], top + box[3]
  low, high = -_BOX_TOLERANCE, _BOX_TOLERANCE
  if left < low or top < low or right > image.width + high or bottom > image.height + high:
    raise BadInput(f"box {box} lies outside the image of {image.width}x{image.height}")
  left, top = max(left, 0), max(top, 0)
  right, bottom = min(right, image.width), min(bottom, image.height)
  if right <= left or bottom <= top:
    raise BadInput(f"box {box} has no area")
  return left, top, right, bottom
