"""Images with label files, semantic or panoptic, → sharded TFRecords.

A semantic record is a panoptic one with a segment for each class that is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from official.cli.errors import UserError
from official.datasets import writing
from official.datasets.annotations import Category, Image
from official.datasets.examples import Example, image_features, segment_features
from official.datasets.images import image_size, read_bytes
from official.datasets.labels import VOID, contiguous
from official.datasets.masks import check_count, encode_png
from official.datasets.problems import BadInput, Problems
from official.datasets.records import Sidecar
from official.datasets.tfrecord import Feature, encode_example

_TFMG_VOID = 255

Reader = Callable[[Path, int, int], np.ndarray]  # (path, height, width) → label values [h, w].


@dataclass(frozen=True, slots=True)
class LabelledImage:
  """An image, and the files that label its pixels; `id` counts the images of a split from 1."""

  id: int
  image: Path
  labels: tuple[Path, ...]


class Segments(NamedTuple):
  """The segments of an image: `places` as `segment_features` wants them, ids and categories."""

  places: np.ndarray
  ids: Sequence[int]
  labels: Sequence[int]
  features: dict[str, Feature]


@dataclass(frozen=True)
class Semantic:
  """Label files whose values are category ids.

  Attributes:
    ids: the categories' ids, in the order of their contiguous classes.
    void: values of pixels that belong to no category.
    read: reads a label file; a function of a module, for it is sent to other processes.
  """

  ids: tuple[int, ...]
  void: tuple[int, ...]
  read: Reader

  def segments(self, paths: Sequence[Path], height: int, width: int) -> Segments:
    """A segment for each class that is there; and TFMG's label image, where 8 bits can hold it."""
    (path,) = paths
    values = self.read(path, height, width)
    try:
      classes = contiguous(values, self.ids, self.void)
    except BadInput as error:
      raise BadInput(f"{path}: {error}") from error
    there = np.flatnonzero(np.bincount((classes - VOID).ravel())[1:])
    check_count(len(there))
    table = np.zeros(len(self.ids) + 1, np.uint8)
    table[there + 1] = np.arange(1, len(there) + 1)
    labels = [self.ids[each] for each in there]
    features: dict[str, Feature] = {}
    if len(self.ids) <= _TFMG_VOID:
      png = encode_png(np.where(classes == VOID, _TFMG_VOID, classes).astype(np.uint8))
      features["image/segmentation/class/encoded"] = [png]
    return Segments(table[classes + 1], labels, labels, features)


@dataclass(frozen=True)
class Layout:
  """A data set's files, found and understood.

  Attributes:
    categories: in the order of contiguous classes.
    images: the images of the split.
    annotation: what reads their label files: `segments(paths, height, width) -> Segments`.
  """

  categories: tuple[Category, ...]
  images: tuple[LabelledImage, ...]
  annotation: Any


@dataclass(frozen=True)
class _Maker:
  """Makes examples of `LabelledImage`s."""

  annotation: Any

  def files(self, item: LabelledImage) -> Sequence[Path]:
    return [item.image, *item.labels]

  def make(self, item: LabelledImage, problems: Problems) -> Example | None:
    try:
      data = read_bytes(item.image)
      image = Image(item.id, item.image.name, *image_size(data))
      features = image_features(data, image)
      segments = self.annotation.segments(item.labels, image.height, image.width)
    except BadInput as error:
      problems.report(f"{item.image}: image id {item.id}: {error}")
      return None
    crowds = [False] * len(segments.ids)
    features |= segment_features(segments.places, segments.ids, segments.labels, crowds)
    return Example(encode_example(features | segments.features), 0)


def convert(layout: Layout, output: writing.Output) -> Sidecar:
  """Converts, and returns what was written.

  Features: those of `image_features` and `segment_features`, no objects; of semantic label files
  besides TFMG's `image/segmentation/class/encoded`: classes, 255 for void.

  Raises:
    UserError: see `writing.write`.
  """
  options = [[asdict(category) for category in layout.categories], _describe(layout.annotation)]
  maker = _Maker(layout.annotation)
  return writing.write(layout.images, maker, layout.categories, options, output)


def _describe(annotation: Any) -> dict[str, Any]:
  """What of an annotation decides over the records, as JSON values."""
  return {key: getattr(value, "__name__", value) for key, value in vars(annotation).items()} | {
    "kind": type(annotation).__name__
  }


def pair(
  directory: Path, suffix: str, labels: Callable[[Path], Sequence[Path]]
) -> tuple[LabelledImage, ...]:
  """The images below `directory` whose names end in `suffix`, sorted, with their label files.

  Raises:
    UserError: there is none.
  """
  paths = sorted(directory.glob(f"**/*{suffix}"))
  if not paths:
    raise UserError(f"no image *{suffix} in {directory}")
  return tuple(
    LabelledImage(number, path, tuple(labels(path))) for number, path in enumerate(paths, 1)
  )
