"""COCO-Stuff 10K, version 1.0: 171 classes of things and stuff, without instances.

Layout, as published:
  ROOT/images/NAME.jpg
  ROOT/annotations/NAME.mat            matrix S: 1 is void, 2 to 172 the classes
  ROOT/imageLists/{train,test}.txt     a NAME a line
and the published list of labels, `NUMBER: NAME` a line, of which number 0 and the eleven that COCO
took out are no classes.
"""

from pathlib import Path

from official.cli.errors import UserError
from official.datasets import tables
from official.datasets.annotations import Category
from official.datasets.labels import read_mat
from official.datasets.problems import BadInput
from official.datasets.segmentation import LabelledImage, Layout, Semantic

_VOID, _FIRST = 1, 2
_UNUSED = frozenset((0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91))


def semantic(root: Path, split: str, table: Path) -> Layout:
  """The 171 classes; a category's id is its value in the matrices.

  Args:
    root: the directory that holds images, annotations and imageLists.
    split: train or test.
    table: the published list of labels.

  Raises:
    UserError: files are missing, or a list is broken.
  """
  rows = [line for line in tables.read_text(table).splitlines() if line.strip()]
  labels = tables.parse_rows(table, rows, _parse)
  names = [name for number, name in sorted(labels) if number not in _UNUSED]
  categories = tuple(Category(each, name, False) for each, name in enumerate(names, _FIRST))
  ids = tuple(category.id for category in categories)
  return Layout(categories, _images(root, split), Semantic(ids, (_VOID,), read_mat))


def _images(root: Path, split: str) -> tuple[LabelledImage, ...]:
  listed = root / "imageLists" / f"{split}.txt"
  names = tables.read_text(listed).split()
  if not names:
    raise UserError(f"{listed} names no image")
  return tuple(
    LabelledImage(number, root / "images" / f"{name}.jpg", (root / "annotations" / f"{name}.mat",))
    for number, name in enumerate(names, 1)
  )


def _parse(index: int, line: str) -> tuple[int, str]:
  before, colon, name = line.partition(":")
  if not colon or not name.strip():
    raise BadInput(f"'{line}' is not NUMBER: NAME")
  return tables.number(before.strip()), name.strip()
