"""Mapillary Vistas 1.2: 65 classes of street scenes.

Layout, as published:
  ROOT/{training,validation}/images/*.jpg
  ROOT/{training,validation}/labels/*.png   a palette; the index is the place in the table's list
and the table, config.json, of which the labels marked `evaluate` count.
"""

from pathlib import Path
from typing import Any

from official.cli.errors import UserError
from official.datasets import fields, tables
from official.datasets.annotations import Category
from official.datasets.labels import read_labels
from official.datasets.problems import BadInput
from official.datasets.segmentation import Layout, Semantic, pair


def semantic(root: Path, split: str, table: Path) -> Layout:
  """The classes that are evaluated, named as people read them; all else is void.

  Args:
    root: the directory that holds the splits.
    split: training or validation.
    table: config.json of the same version as the labels.

  Raises:
    UserError: files are missing, or the table is broken.
  """
  rows = tables.entries(table, tables.read_json(table), "labels")
  parsed = tables.parse_rows(table, rows, _parse)
  categories = tuple(category for category, evaluated in parsed if evaluated)
  if not categories:
    raise UserError(f"{table} marks no label as evaluated")
  folder = root / split
  images = pair(folder / "images", ".jpg", lambda path: [folder / "labels" / f"{path.stem}.png"])
  void = tuple(category.id for category, evaluated in parsed if not evaluated)
  ids = tuple(category.id for category in categories)
  return Layout(categories, images, Semantic(ids, void, read_labels))


def _parse(index: int, row: Any) -> tuple[Category, bool]:
  record = fields.mapping(row)
  evaluated = record["evaluate"]
  if not isinstance(evaluated, bool):
    raise BadInput(f"evaluate {evaluated!r} is neither true nor false")
  return Category(index, fields.text(record, "readable"), False), evaluated
