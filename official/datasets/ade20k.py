"""ADE20K: scene parsing with 150 classes, its panoptic form, and the full one with 847.

Layouts, as published and as MaskFormer's preparation leaves them:
  ROOT/images/{training,validation}/*.jpg
  ROOT/annotations/…/*.png            0 is void, 1 to 150 the classes
  ROOT/annotations_instance/…/*.png   red: category 1 to 100, green: instance from 1, 0 is none
  ROOT/objectInfo150.txt              the classes: number first, name last, tabs between
  FULL/images_detectron2/…/*.jpg      shortest side at most 512
  FULL/annotations_detectron2/…/*.tif 16 bits: 0 to 846 the classes, 65535 void
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from official.datasets import fields, tables
from official.datasets.annotations import Category
from official.datasets.labels import read_channels, read_labels
from official.datasets.masks import check_count
from official.datasets.problems import BadInput
from official.datasets.segmentation import Layout, Segments, Semantic, pair

_VOID, _FULL_VOID = 0, 65535


def semantic(root: Path, split: str) -> Layout:
  """Scene parsing: every class is stuff, for there are no instances.

  Args:
    root: the directory ADEChallengeData2016.
    split: training or validation.

  Raises:
    UserError: files are missing, or the table is broken.
  """
  categories = _read_classes(root / "objectInfo150.txt", things=frozenset())
  labels = root / "annotations" / split
  images = pair(root / "images" / split, ".jpg", lambda path: [labels / f"{path.stem}.png"])
  ids = tuple(category.id for category in categories)
  return Layout(categories, images, Semantic(ids, (_VOID,), read_labels))


def panoptic(root: Path, split: str, instance_categories: Path) -> Layout:
  """Scene parsing with instances; things are the classes that `instance_categories` names.

  Args:
    root: the directory ADEChallengeData2016.
    split: training or validation.
    instance_categories: the published table of three columns, category of the instance labels,
      class of scene parsing, and one more; the first line names them.

  Raises:
    UserError: files are missing, or a table is broken.
  """
  things = _read_things(instance_categories)
  categories = _read_classes(root / "objectInfo150.txt", frozenset(things.values()))
  folders = [root / "annotations" / split, root / "annotations_instance" / split]
  images = pair(
    root / "images" / split, ".jpg", lambda path: [each / f"{path.stem}.png" for each in folders]
  )
  stuff = tuple(category.id for category in categories if not category.isthing)
  known = tuple(category.id for category in categories)
  return Layout(categories, images, Panoptic(stuff, known, things))


def full(root: Path, split: str, categories: Path) -> Layout:
  """The full data set, as MaskFormer's preparation leaves it.

  Args:
    root: the directory ADE20K_2021_17_01.
    split: training or validation.
    categories: JSON list of the classes, each with `name` and `trainId`.

  Raises:
    UserError: files are missing, or the table is broken.
  """

  def parse(index: int, row: Any) -> Category:
    record = fields.mapping(row)
    return Category(fields.integer(record, "trainId"), fields.text(record, "name"), False)

  rows = tables.read_json(categories)
  table = tables.parse_rows(categories, rows if isinstance(rows, list) else [], parse)
  classes = tables.check_unique(categories, sorted(table, key=lambda category: category.id))
  labels = root / "annotations_detectron2" / split
  images = pair(
    root / "images_detectron2" / split, ".jpg", lambda path: [labels / f"{path.stem}.tif"]
  )
  ids = tuple(category.id for category in classes)
  return Layout(classes, images, Semantic(ids, (_FULL_VOID,), read_labels))


@dataclass(frozen=True)
class Panoptic:
  """Stuff from the label files, things from the instance files, which lie on top.

  Pixels of a thing class without an instance are void, and what is wholly covered is no segment.

  Attributes:
    stuff: the stuff classes.
    known: all classes.
    things: the class of each category of the instance files.
  """

  stuff: tuple[int, ...]
  known: tuple[int, ...]
  things: Mapping[int, int]

  def segments(self, paths: Sequence[Path], height: int, width: int) -> Segments:
    """Stuff in the order of classes, then things in the order of instance numbers."""
    labels = read_labels(paths[0], height, width)
    unknown = np.setdiff1d(labels, [_VOID, *self.known])
    if len(unknown):
      raise BadInput(f"{paths[0]}: label {unknown[0]} is neither a category nor void")
    numbers, table = self._instances(paths[1], height, width)
    grounds = np.where(np.isin(labels, self.stuff), labels, _VOID).astype(np.int32)
    # Stuff below, things above: one number a segment, in order.
    codes = np.where(numbers > 0, max(self.known) + numbers, grounds)
    found, places = np.unique(codes, return_inverse=True)
    names = [code for code in found.tolist() if code]
    check_count(len(names))
    classes = [table.get(code - max(self.known), code) for code in names]
    shift = int(found[0] != _VOID)  # Where nothing is void, the first segment still is 1.
    places = (places.reshape(height, width) + shift).astype(np.uint8)
    return Segments(places, range(1, len(names) + 1), classes, {})

  def _instances(self, path: Path, height: int, width: int) -> tuple[np.ndarray, dict[int, int]]:
    """The instance number of each pixel, 0 for none, and the class of each number."""
    category, number = np.moveaxis(read_channels(path, height, width), -1, 0)[:2].astype(np.int32)
    pairs = np.unique(number * 256 + category)
    pairs = pairs[pairs >= 256]
    numbers, categories = (pairs // 256).tolist(), (pairs % 256).tolist()
    if len(set(numbers)) < len(numbers):
      raise BadInput(f"{path}: an instance has two categories")
    for each in categories:
      if each not in self.things:
        raise BadInput(f"{path}: instance category {each} is not in the table")
    classes = (self.things[each] for each in categories)
    return number, dict(zip(numbers, classes, strict=True))


def _read_classes(path: Path, things: frozenset[int]) -> tuple[Category, ...]:
  def parse(index: int, line: str) -> Category:
    columns = [column.strip() for column in line.split("\t")]
    if len(columns) < 2 or not columns[-1]:
      raise BadInput(f"'{line}' is not a number and a name with tabs between")
    identity = tables.number(columns[0])
    return Category(identity, columns[-1], identity in things)

  rows = [line for line in tables.read_text(path).splitlines() if line.strip()]
  body = rows[1:] if rows and not rows[0].split("\t")[0].strip().isdecimal() else rows
  return tables.check_unique(path, tables.parse_rows(path, body, parse))


def _read_things(path: Path) -> dict[int, int]:
  def parse(index: int, line: str) -> tuple[int, int]:
    columns = line.split()
    if len(columns) < 2:
      raise BadInput(f"'{line}' is not two numbers")
    return tables.number(columns[0]), tables.number(columns[1])

  rows = [line for line in tables.read_text(path).splitlines() if line.strip()]
  return dict(tables.parse_rows(path, rows[1:], parse))
