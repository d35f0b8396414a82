"""The shape of a project's `dossier.py`, which is all that tools read of a project.

A dossier is read before TensorFlow is loaded: what needs it is a function that imports it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from official.datasets.annotations import Category

if TYPE_CHECKING:
  from official.checkpoints.schemes import ForeignFiles
  from official.core import config_definitions as cfg
  from official.parity.case import ParityCase

Detections = dict[str, np.ndarray]


class Detector(Protocol):
  """Finds objects in images of any size."""

  def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
    """What is in each of the images.

    Args:
      images: [h, w, 3] uint8 each, RGB.

    Returns:
      for each image `boxes` [n, 4] float32 yxyx in its pixels, `classes` [n] int32 (indices of the
      categories) and `scores` [n] float32 in 0..1, best first.
    """


class DetectorFactory(Protocol):
  """Makes a project's detector."""

  def __call__(self, task: "cfg.TaskConfig", checkpoint: str, batch_size: int) -> Detector:
    """The detector of the network that `task` configures.

    Args:
      task: a configuration of the project.
      checkpoint: prefix of a checkpoint of that network.
      batch_size: how many images the network takes at a time.

    Raises:
      UserError: the checkpoint cannot be read, or is of another network.
    """


class Segmentation(NamedTuple):
  """The segments of an image, which do not overlap.

  Attributes:
    ids: the segment of each pixel [h, w] int32, from 1; 0 belongs to none.
    classes: of the segments 1, 2, … [n] int32 (indices of the categories).
    scores: of the segments [n] float32 in 0..1.
  """

  ids: np.ndarray
  classes: np.ndarray
  scores: np.ndarray


class Segmenter(Protocol):
  """Finds segments in images of any size."""

  def segment(self, images: Sequence[np.ndarray]) -> list[Segmentation]:
    """What is in each of the images, [h, w, 3] uint8 each, RGB."""


class SegmenterFactory(Protocol):
  """Makes a project's segmenter."""

  def __call__(
    self,
    task: "cfg.TaskConfig",
    checkpoint: str,
    batch_size: int,
    categories: Sequence[Category],
  ) -> Segmenter:
    """As `DetectorFactory`; `categories` are those of the classes: things differ from stuff."""


class Exporter(Protocol):
  """Writes a project's networks in some format."""

  def __call__(
    self,
    task: "cfg.TaskConfig",
    checkpoint: str,
    categories: Sequence[Category],
    directory: str,
  ) -> None:
    """Writes the network that `task` configures, with the weights of `checkpoint`.

    Raises:
      UserError: the checkpoint cannot be read, or is of another network; or it cannot be exported
        in this format.
    """


class Imported(NamedTuple):
  """A network made of foreign files."""

  detector: Detector
  num_classes: int


@dataclasses.dataclass(frozen=True)
class Importer:
  """Makes detectors of a pair of files that an original's own tools wrote.

  Attributes:
    suffixes: of the file that describes the network, and of the one with its weights.
    load: (description, weights, how many images the network takes at a time) → the network; raises
      `UserError` where the files are damaged, do not fit each other, or are not supported.
  """

  suffixes: tuple[str, str]
  load: Callable[[str, str, int], Imported]


@dataclasses.dataclass(frozen=True)
class Paper:
  """Where a network was published."""

  title: str
  url: str


@dataclasses.dataclass(frozen=True)
class Claim:
  """A figure that the originals' authors published.

  Attributes:
    metric: a name in `METRICS` of `official.evaluation.coco` or `.semantic`, or `PQ`.
    value: in 0..1.
    data: what it was measured on.
    input_size: height and width of the network's input, in pixels; where images keep their aspect,
      the shortest side.
    source: where it is written.
  """

  metric: str
  value: float
  data: str
  input_size: int
  source: str


@dataclasses.dataclass(frozen=True)
class Variant:
  """One network of a project.

  Attributes:
    experiment: the registered experiment that trains it as its authors did.
    claims: what it is said to reach; none where nothing is published.
  """

  experiment: str
  claims: tuple[Claim, ...] = ()


@dataclasses.dataclass(frozen=True)
class Dossier:
  """A project.

  Attributes:
    name: the package under `projects/`.
    papers: the sources.
    variants: the networks, by name.
    experiments: every experiment that the project registers.
    input_shape: (height, width, channels) of one input of the network that a task configures.
    detector: makes the detector of a trained network; None where it finds segments.
    segmenter: makes the segmenter of a trained network; None where it finds boxes.
    categories: the categories of the data that a task evaluates on, in the order of its classes;
      raises `UserError` where the data is not at hand.
    parity: the cases that prove the project's networks equal to their originals, by variant; None
      where there is no original to compare with. A case makes its sides only when it is run.
    importer: makes detectors of foreign files; None where the project reads none.
    exports: what writes a trained network, by the name of the format.
    exported: makes the detector of a folder in one of those formats, whose `settings.json` is of
      `official.serving.exported`; None where none of them has one.
    foreign: the files of originals that the network of a task can be filled from, and written as;
      None where there are none.
  """

  name: str
  papers: tuple[Paper, ...]
  variants: Mapping[str, Variant]
  experiments: tuple[str, ...]
  input_shape: Callable[["cfg.TaskConfig"], tuple[int, int, int]]
  categories: Callable[["cfg.TaskConfig"], Sequence[Category]]
  detector: DetectorFactory | None = None
  segmenter: SegmenterFactory | None = None
  parity: Callable[[], Mapping[str, "ParityCase"]] | None = None
  importer: Importer | None = None
  exports: Mapping[str, Exporter] = dataclasses.field(default_factory=dict)
  exported: Callable[[Path], Detector] | None = None
  foreign: Callable[["cfg.TaskConfig"], "ForeignFiles"] | None = None
