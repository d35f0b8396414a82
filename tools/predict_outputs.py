"""What `predict` writes: detections or segments, as pictures and as results."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from official.datasets.annotations import Category

if TYPE_CHECKING:
  import numpy as np

  from official.dossiers.dossier import Detections, Segmentation

DETECTIONS = "detections.json"
SEGMENTS = "panoptic.json"
MAPS = "panoptic"


class Names(NamedTuple):
  """Of an image: its id in COCO's formats, its file's name, and where its picture goes."""

  image_id: int
  file: str
  picture: Path


class Output(Protocol):
  """Collects what was found.

  Attributes:
    count: how much it is.
    noun: what it is.
  """

  count: int
  noun: str

  def add(self, image: "np.ndarray", found: object, names: Names) -> None:
    """Draws what was found in an image [h, w, 3] uint8."""

  def write(self) -> None:
    """Writes the results of all images."""


class Detected:
  """Boxes.

  Args:
    folder: to write to.
    categories: by class.
    score_threshold: below it, detections are left out.
  """

  noun = "detections"

  def __init__(self, folder: Path, categories: Sequence[Category], score_threshold: float) -> None:
    self._folder, self._categories, self._threshold = folder, categories, score_threshold
    self._rows: list = []

  @property
  def count(self) -> int:
    return len(self._rows)

  def add(self, image: "np.ndarray", found: "Detections", names: Names) -> None:
    from official.serving import results

    kept = results.above(found, self._threshold)
    self._rows += results.coco_rows(kept, self._categories, names.image_id, names.file)
    results.write_picture(image, kept, self._categories, names.picture)

  def write(self) -> None:
    from official.serving import results

    results.write_json(self._rows, self._folder / DETECTIONS)


class Segmented:
  """Segments.

  Args:
    folder: to write to.
    categories: by class.
    score_threshold: below it, segments are left out.
  """

  noun = "segments"

  def __init__(self, folder: Path, categories: Sequence[Category], score_threshold: float) -> None:
    self._folder, self._categories, self._threshold = folder, categories, score_threshold
    self._rows: list = []

  @property
  def count(self) -> int:
    return sum(len(row["segments_info"]) for row in self._rows)

  def add(self, image: "np.ndarray", found: "Segmentation", names: Names) -> None:
    from official.serving import segment_results as results

    kept = results.above(found, self._threshold)
    path = self._folder / MAPS / f"{names.picture.stem}.png"
    row = results.panoptic_row(kept, self._categories, names.image_id, path.name)
    self._rows.append(row)
    results.write_map(kept, path)
    results.write_picture(image, kept, self._categories, names.picture)

  def write(self) -> None:
    from official.serving import segment_results as results

    results.write_json(self._rows, self._folder / SEGMENTS)
