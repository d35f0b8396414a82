"""COCO-style folders as a TFDS data set with the features of `coco/2017`.

With panoptic annotations the features of `coco/2017_panoptic` are there too. Labels are contiguous,
things first; the names are in the features, the files' own category ids in the metadata.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from official.cli.errors import UserError
from official.cli.progress import Progress
from official.datasets import coco
from official.datasets.annotations import Category, Dataset, Image, Object, Segment
from official.datasets.images import check_image, read_bytes
from official.datasets.masks import read_panoptic, segment_places
from official.datasets.problems import BadInput, Problems


@dataclass(frozen=True)
class CocoFolder:
  """The files of one split."""

  split: str
  images: Path
  instances: Path
  panoptic: Path | None = None
  panoptic_masks: Path | None = None

  @classmethod
  def pair(
    cls,
    splits: Sequence[str],
    images: Sequence[Path],
    instances: Sequence[Path],
    panoptic: Sequence[Path] = (),
    panoptic_masks: Sequence[Path] = (),
  ) -> list[Self]:
    """Folders from parallel lists.

    Raises:
      UserError: when the lists differ in length; the panoptic ones may both be empty.
    """
    nothing = [None] * len(splits)
    columns = (splits, images, instances, panoptic or nothing, panoptic_masks or nothing)
    if bool(panoptic) != bool(panoptic_masks) or len({len(column) for column in columns}) > 1:
      raise UserError(
        "--splits, --images, --instances and, where given, --panoptic and --panoptic-masks need "
        "as many values each"
      )
    if len(set(splits)) < len(splits):
      raise UserError(f"--splits {' '.join(splits)}: a name is there twice")
    return [cls(*row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Built:
  """A finished TFDS data set: where it is, the examples of each split, what was left out."""

  directory: Path
  examples: dict[str, int]
  skipped: list[str]


def build(name: str, folders: Sequence[CocoFolder], data_dir: Path, stop: bool) -> Built:
  """Writes DATA_DIR/NAME/1.0.0, which `tfds.load(NAME, data_dir=DATA_DIR)` reads.

  Args:
    name: of the data set, in snake_case.
    folders: one a split; all must have the same category table.
    data_dir: TFDS's data directory.
    stop: whether the first problem of the input stops the work.

  Raises:
    UserError: when the input is of no use, for its first problem where `stop`, or when the data
      set is there already or cannot be written.
  """
  if not name.isidentifier() or not name.islower():
    raise UserError(f"--name {name}: TFDS wants lower-case letters, digits and underscores")
  problems = Problems(stop)
  datasets = [coco.load(folder.instances, folder.panoptic, problems) for folder in folders]
  total = sum(len(dataset.images) for dataset in datasets)
  tfds.disable_progress_bar()
  with Progress("converting", total, "images") as progress:
    builder = CocoBuilder(name, folders, datasets, problems, progress, data_dir)
    if builder.is_prepared():
      raise UserError(f"{builder.data_path} is there already: remove it or choose another --name")
    _prepare(builder)
  examples = {key: split.num_examples for key, split in builder.info.splits.items()}
  return Built(Path(builder.data_path), examples, problems.found)


def _prepare(builder: tfds.core.DatasetBuilder) -> None:
  """Runs the builder; what the system refuses (disk full, no permission) becomes a UserError."""
  try:
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS tells of a download there is none of.
      builder.download_and_prepare()
  except (OSError, RuntimeError, tf.errors.OpError) as error:
    # TFDS wraps what TensorFlow raises in errors of its own.
    cause = error.__cause__ if isinstance(error, RuntimeError) else error
    if not isinstance(cause, OSError | tf.errors.OpError):
      raise
    reason = getattr(cause, "message", None) or cause
    raise UserError(f"cannot write {builder.data_path}: {reason}") from error


class CocoBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Builds the data set of `build`; TFDS writes under a temporary name and renames at the end."""

  VERSION = tfds.core.Version("1.0.0")
  # There are no checksums of downloads to look up beside the code; the look-up needs a package
  # that TFDS does not declare.
  code_path = None

  def __init__(
    self,
    name: str,
    folders: Sequence[CocoFolder],
    datasets: Sequence[Dataset],
    problems: Problems,
    progress: Progress,
    data_dir: Path,
  ) -> None:
    self.name = name
    self._folders, self._datasets = folders, datasets
    self._problems, self._progress = problems, progress
    self._categories = datasets[0].categories
    self._numbers = {category.id: n for n, category in enumerate(self._categories)}
    if any(dataset.categories != self._categories for dataset in datasets):
      raise UserError(f"{folders[0].instances} and another split differ in their category tables")
    super().__init__(data_dir=data_dir)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description=f"{self.name}: COCO-style annotations.",
      features=_features(self._categories, bool(self._folders[0].panoptic)),
      metadata=tfds.core.MetadataDict(category_ids=[c.id for c in self._categories]),
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
    del dl_manager  # Nothing is downloaded.
    pairs = zip(self._folders, self._datasets, strict=True)
    return {folder.split: self._generate_examples(folder, dataset) for folder, dataset in pairs}

  def _generate_examples(
    self, folder: CocoFolder, dataset: Dataset
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    for image in dataset.images:
      try:
        yield image.id, self._example(folder, image)
      except BadInput as error:
        path = folder.images / image.file_name
        self._problems.report(f"{path}: image id {image.id}: {error}")
      self._progress.advance()

  def _example(self, folder: CocoFolder, image: Image) -> dict[str, Any]:
    data = read_bytes(folder.images / image.file_name)
    check_image(data, image.height, image.width)
    example = {
      "image": io.BytesIO(data),
      "image/filename": image.file_name,
      "image/id": image.id,
      "objects": [self._row(item, image) for item in image.objects],
    }
    if image.panoptic and folder.panoptic_masks:
      path = folder.panoptic_masks / image.panoptic.file_name
      ids = read_panoptic(path, image.height, image.width)
      segment_places(ids, image.panoptic)  # For its checks.
      example["panoptic_image"] = str(path)
      example["panoptic_image/filename"] = image.panoptic.file_name
      example["panoptic_objects"] = [self._row(item, image) for item in image.panoptic.segments]
    return example

  def _row(self, item: Object | Segment, image: Image) -> dict[str, Any]:
    left, top, right, bottom = item.box
    return {
      "area": int(item.area),  # Whole pixels, as in coco/2017.
      "bbox": tfds.features.BBox(
        ymin=top / image.height,
        xmin=left / image.width,
        ymax=bottom / image.height,
        xmax=right / image.width,
      ),
      "id": item.id,
      "is_crowd": item.is_crowd,
      "label": self._numbers[item.category_id],
    }


def _features(categories: Sequence[Category], panoptic: bool) -> tfds.features.FeaturesDict:
  features = {
    "image": tfds.features.Image(encoding_format="jpeg"),
    "image/filename": tfds.features.Text(),
    "image/id": np.int64,
    "objects": _rows([category.name for category in categories if category.isthing]),
  }
  if panoptic:
    features["panoptic_image"] = tfds.features.Image(encoding_format="png")
    features["panoptic_image/filename"] = tfds.features.Text()
    features["panoptic_objects"] = _rows([category.name for category in categories])
  return tfds.features.FeaturesDict(features)


def _rows(names: list[str]) -> tfds.features.Sequence:
  return tfds.features.Sequence(
    {
      "area": np.int64,
      "bbox": tfds.features.BBoxFeature(),
      "id": np.int64,
      "is_crowd": np.bool_,
      "label": tfds.features.ClassLabel(names=names),
    }
  )
