"""COCO-style annotations → sharded TFRecords; see `writing.py` for how they are written."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from official.cli.errors import UserError
from official.datasets import coco, writing
from official.datasets.annotations import Image
from official.datasets.examples import Example, Source, make_example
from official.datasets.problems import Problems
from official.datasets.records import Sidecar


@dataclass(frozen=True)
class Conversion:
  """What to convert, and how.

  Attributes:
    images: directory of the images.
    output: prefix of the files to write.
    shards: number of shards; at most the number of images.
    instances: instances JSON file; or `panoptic`, or both.
    panoptic: panoptic JSON file.
    panoptic_masks: directory of the panoptic PNGs; given with `panoptic`.
    masks: whether to write the objects' masks.
    workers: processes.
    stop: whether the first problem of the input stops the work; else it is left out and listed.
  """

  images: Path
  output: Path
  shards: int
  instances: Path | None = None
  panoptic: Path | None = None
  panoptic_masks: Path | None = None
  masks: bool = False
  workers: int = 1
  stop: bool = True

  def __post_init__(self) -> None:
    if (self.panoptic is None) != (self.panoptic_masks is None):
      raise UserError("--panoptic and --panoptic-masks belong together: give both or none")


@dataclass(frozen=True)
class _Maker:
  """Makes examples of `Image`s."""

  source: Source

  def files(self, image: Image) -> Sequence[Path]:
    paths = [self.source.images / image.file_name]
    if image.panoptic and self.source.panoptic_masks:
      paths.append(self.source.panoptic_masks / image.panoptic.file_name)
    return paths

  def make(self, image: Image, problems: Problems) -> Example | None:
    return make_example(image, self.source, problems)


def convert(conversion: Conversion) -> Sidecar:
  """Converts, and returns what was written.

  Raises:
    UserError: when the input is of no use, for its first problem where `conversion.stop`, or
      when the output cannot be written. Finished shards stay, half ones do not.
  """
  output = writing.Output(conversion.output, conversion.shards, conversion.workers, conversion.stop)
  problems = Problems(conversion.stop)
  dataset = coco.load(
    conversion.instances, conversion.panoptic, problems, segmentations=conversion.masks
  )
  source = Source(
    images=conversion.images,
    panoptic_masks=conversion.panoptic_masks,
    masks=conversion.masks,
    categories={category.id: category for category in dataset.categories},
  )
  options = [*map(_digest, (conversion.instances, conversion.panoptic)), conversion.masks]
  return writing.write(
    dataset.images, _Maker(source), dataset.categories, options, output, problems.found
  )


def _digest(path: Path | None) -> str | None:
  return hashlib.sha256(path.read_bytes()).hexdigest() if path else None
