"""Cityscapes, finely annotated: 19 classes of street scenes.

Layout, as published:
  ROOT/leftImg8bit/{train,val}/CITY/*_leftImg8bit.png
  ROOT/gtFine/{train,val}/CITY/*_gtFine_labelIds.png   the label ids
"""

from pathlib import Path

from official.datasets.annotations import Category
from official.datasets.labels import read_labels
from official.datasets.segmentation import Layout, Semantic, pair

# The published labels that are evaluated, in the order of their train ids: label id and name.
CLASSES = {
  7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole",
  19: "traffic light", 20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky",
  24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle",
  33: "bicycle",
}  # fmt: skip
_LAST = 33
_PLATE = 255  # A licence plate's label, -1, in eight bits.
_IMAGE, _LABELS = "_leftImg8bit.png", "_gtFine_labelIds.png"


def semantic(root: Path, split: str) -> Layout:
  """The 19 classes that are evaluated; all else is void.

  Args:
    root: the directory that holds leftImg8bit and gtFine.
    split: train or val.

  Raises:
    UserError: there are no images.
  """
  images = pair(
    root / "leftImg8bit" / split,
    _IMAGE,
    lambda path: [
      root / "gtFine" / split / path.parent.name / (path.name.removesuffix(_IMAGE) + _LABELS)
    ],
  )
  categories = tuple(Category(identity, name, False) for identity, name in CLASSES.items())
  void = (*(each for each in range(_LAST + 1) if each not in CLASSES), _PLATE)
  return Layout(categories, images, Semantic(tuple(CLASSES), void, read_labels))
