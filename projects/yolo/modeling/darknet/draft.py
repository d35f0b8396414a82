"""A Darknet network while its `.cfg` is read: rows, shapes, what owns weights, outputs.

The row that is a section's output is `layer7` for section 7, counted as Darknet does, from 0 behind
`[net]`; parts of it are `layer7/…`.
"""

import dataclasses
from typing import NamedTuple

from projects.yolo.modeling.darknet.cfg_file import Section
from projects.yolo.modeling.decoding import Coordinates
from projects.yolo.modeling.rows import Row


class Shape(NamedTuple):
  """Of a section's output."""

  height: int
  width: int
  channels: int


class Convolution(NamedTuple):
  """A convolution's place in the file of weights.

  Attributes:
    section: number of its section.
    row: the row that owns the weights.
    normalized: whether it has a BatchNorm, and no bias.
    kernel: filters, channels / groups, height, width.
  """

  section: int
  row: str
  normalized: bool
  kernel: tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Head:
  """A `[yolo]` section.

  Attributes:
    row: its row, whose output is raw, [b, h, w, anchors, 5 + classes].
    level: the grid's stride is 2 to this power.
    classes: without background.
    coordinates: how its outputs become boxes.
    diou_exponent: see `projects.yolo.ops.nms.detect`.
  """

  row: str
  level: int
  classes: int
  coordinates: Coordinates
  diou_exponent: float | None


@dataclasses.dataclass
class Draft:
  """A network as far as its file is read.

  Attributes:
    input: shape of the image.
    rows: of all sections so far.
    shapes: of each section's output.
    convolutions: those with weights, in the order of the file of weights.
    heads: in the order of the file.
  """

  input: Shape
  rows: list[Row] = dataclasses.field(default_factory=list)
  shapes: list[Shape] = dataclasses.field(default_factory=list)
  convolutions: list[Convolution] = dataclasses.field(default_factory=list)
  heads: list[Head] = dataclasses.field(default_factory=list)

  @property
  def name(self) -> str:
    """Of the row that the section being read is to add."""
    return f"layer{len(self.shapes)}"

  def before(self, section: Section) -> tuple[str, Shape]:
    """The row and the shape of the section above; raises `UserError` where that is a `[yolo]`."""
    return self._output(len(self.shapes) - 1, section) if self.shapes else ("image", self.input)

  def named(self, section: Section, option: str) -> list[tuple[str, Shape]]:
    """Rows and shapes of the sections that `option` names, by number or distance.

    Raises:
      UserError: a section of that number is not above this one or is a `[yolo]`, or sizes differ.
    """
    count, found = len(self.shapes), []
    for number in section.integers(option):
      index = number if number >= 0 else count + number
      if not 0 <= index < count:
        raise section.error(f"{option}= names section {index}, which is not above this one", option)
      found.append(self._output(index, section))
    sizes = {shape[:2] for _, shape in found}
    if len(sizes) > 1:
      text = ", ".join(f"{height}×{width}" for height, width in sorted(sizes))
      raise section.error(f"{option}= joins sections of different sizes: {text}", option)
    return found

  def _output(self, index: int, section: Section) -> tuple[str, Shape]:
    name = f"layer{index}"
    if any(head.row == name for head in self.heads):
      raise section.error(f"reads the output of section {index}, which is a [yolo]: none may")
    return name, self.shapes[index]

  def add(self, name: str, kind: str, *inputs: str, **args: object) -> str:
    """Adds a row and returns its name."""
    self.rows.append(Row(name, kind, inputs, dict(args)))
    return name
