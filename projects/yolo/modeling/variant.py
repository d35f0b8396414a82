"""What a variant says: the form of every row of the variant tables.

Anchors are width, height in pixels of the configuration's own input. Head filters are those of the
3×3 convolution in front of each output.
"""

import dataclasses

from projects.yolo.modeling.rows import Rows

Anchors = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Auxiliary:
  """A head that only training has: the decoder's row that it reads, its convolution's filters."""

  source: str
  filters: int


@dataclasses.dataclass(frozen=True)
class Variant:
  """One network.

  Attributes:
    backbone: rows from the image to the features named `c3`, `c4`, … (stride 2ⁿ at `cn`).
    decoder: rows from those features to the pyramid named `p3`, `p4`, ….
    head: filters in front of each output, by level.
    anchors: of each level.
    activation: of every convolution but the outputs.
    coordinates: how outputs become boxes, a key of `decoding.DECODERS`.
    scale_xy: how far a box centre may leave its cell, by level; 1 for not at all (Bochkovskiy et
      al. 2020).
    input_size: side of the configuration's square input, in pixels.
    pyramid_activation: of decoder and head, where theirs is another.
    head_kind: of the convolution in front of each output: `conv`, `rep` (see `RepConvNorm`), or
      `fused`, what deployment makes of that.
    implicit: whether outputs are shifted and scaled by implicit knowledge (see `implicit.py`).
    auxiliary: heads of training, by level.
  """

  backbone: Rows
  decoder: Rows
  head: dict[int, int]
  anchors: dict[int, Anchors]
  activation: str
  coordinates: str
  scale_xy: dict[int, float]
  input_size: int
  pyramid_activation: str = ""
  head_kind: str = "conv"
  implicit: bool = False
  auxiliary: dict[int, Auxiliary] = dataclasses.field(default_factory=dict)

  @property
  def levels(self) -> tuple[int, ...]:
    """Levels with an output, ascending; the stride of level l is 2ˡ."""
    return tuple(sorted(self.head))

  def deployed(self) -> "Variant":
    """The network of inference: what only training needs is folded in or left out."""
    kind = "fused" if self.head_kind == "rep" else self.head_kind
    return dataclasses.replace(self, head_kind=kind, implicit=False, auxiliary={})

  def narrowed(self, divisor: int) -> "Variant":
    """The same network with a share of the channels everywhere but in its outputs."""

    def narrow(filters: int) -> int:
      return filters // divisor

    def each(rows: Rows) -> Rows:
      return tuple(
        dataclasses.replace(row, args=row.args | {"filters": narrow(row.args["filters"])})
        if "filters" in row.args
        else row
        for row in rows
      )

    return dataclasses.replace(
      self,
      backbone=each(self.backbone),
      decoder=each(self.decoder),
      head={level: narrow(filters) for level, filters in self.head.items()},
      auxiliary={
        level: dataclasses.replace(head, filters=narrow(head.filters))
        for level, head in self.auxiliary.items()
      },
    )
