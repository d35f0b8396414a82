"""What happens to an array on its way from the original's layout to the candidate's.

A transform is a chain of steps, "qkv:1/3|linear|heads_out:8". A step is

  a name of `TRANSFORMS`, with arguments        "conv", "depthwise:2", "heads_out:8"
  an arrangement as einops writes it            "1 n c -> n c", "(h w) n -> h w n; h=13"
  a piece of the source, along axis 0 or AXIS   "qkv:0/3", "split:1-196/197@1"
  a piece of the target, along the last or AXIS "merge:0/3", "merge:2/3@1"; comes last
  equal pieces of an axis in another order      "order:2,1,0@2" (RGB for BGR), "order:1,0@-1"

Every step only moves numbers, by no factor and losing none, so the same transform carries
parameters, their gradients, optimizer slots and averages, forth and back. Nothing is chosen by
shape: a square matrix would take a wrong transposition without complaint.
"""

import dataclasses
import functools

import numpy as np

from official.checkpoints import axes
from official.checkpoints.axes import Arranged, Misfit, Shape
from official.checkpoints.steps import Arrange, Order, Ordered, Piece, Selected
from official.cli.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Named:
  """An arrangement with a name.

  Attributes:
    arrangement: as `axes` reads it.
    use: what it is for.
    arguments: lengths that the user gives, in order.
    defaults: of the last of them.
  """

  arrangement: str
  use: str
  arguments: tuple[str, ...] = ()
  defaults: tuple[int, ...] = ()


# PyTorch's layout → TensorFlow's. A new layout is one line here.
TRANSFORMS: dict[str, Named] = {
  "identity": Named("... -> ...", "biases, normalizations, embeddings"),
  "conv": Named("o i x ... -> x ... i o", "convolutions of any rank; i is inputs per group"),
  "conv_transpose": Named("i o x ... -> x ... o i", "transposed convolutions"),
  "depthwise": Named("(c m) 1 x ... -> x ... c m", "m outputs per channel", ("m",), (1,)),
  "linear": Named("o i -> i o", "dense layers"),
  "linear_as_conv": Named("o i -> 1 1 i o", "a dense layer that is a 1×1 convolution here"),
  "conv_as_linear": Named("o i 1 1 -> i o", "a 1×1 convolution that is a dense layer here"),
  "linear_after_flatten": Named(
    "o (c h w) -> (h w c) o", "a dense layer on flattened features of h by w", ("h", "w")
  ),
  "heads_out": Named("... (n d) -> ... n d", "n heads apart: queries, keys, values", ("n",)),
  "heads_in": Named("(n d) o -> n d o", "n heads apart: what projects their outputs", ("n",)),
  "relative_table": Named("(h w) n -> h w n", "biases of h by w offsets for n heads", ("h",)),
}

_PIECES = ("qkv", "split")


@dataclasses.dataclass(frozen=True)
class Fit:
  """A transform between two shapes.

  Attributes:
    cuts: what leads to the piece of the source: regroupings and selections, always views.
    steps: what happens to the piece.
    place: where it goes in the target; None: it is the target.
  """

  cuts: tuple[Arranged | Selected, ...]
  steps: tuple[Arranged | Ordered, ...]
  place: Selected | None

  def taken(self, source: np.ndarray) -> np.ndarray:
    """The view of a contiguous `source` that the transform takes."""
    for cut in self.cuts:
      source = cut.view(source) if isinstance(cut, Selected) else cut.forward(source)
    return source

  def placed(self, target: np.ndarray) -> np.ndarray:
    """The view of `target` that the transform fills."""
    return self.place.view(target) if self.place else target

  def forward(self, piece: np.ndarray) -> np.ndarray:
    """What is `taken` of the source → what is `placed` in the target."""
    for step in self.steps:
      piece = step.forward(piece)
    return piece

  def backward(self, piece: np.ndarray) -> np.ndarray:
    """The inverse of `forward`."""
    for step in reversed(self.steps):
      piece = step.backward(piece)
    return piece


@dataclasses.dataclass(frozen=True)
class Transform:
  """A chain of steps; see the module.

  Attributes:
    text: as it was written.
    cuts: steps up to the last piece of the source.
    steps: the steps after it.
    merge: the piece of the target.
  """

  text: str
  cuts: tuple[Arrange | Piece, ...]
  steps: tuple[Arrange | Order, ...]
  merge: Piece | None

  @property
  def splits(self) -> bool:
    """Whether it takes a part of its source, so that others may take the rest."""
    return bool(self.cuts)

  def fit(self, source: Shape, target: Shape) -> Fit:
    """The transform between two shapes.

    Raises:
      Misfit: the transform does not make `target` of `source`, exactly.
    """
    cuts = self._resolve(self.cuts, source)
    steps = self._resolve(self.steps, cuts[-1].after if cuts else source)
    given = (source, *(step.after for step in (*cuts, *steps)))[-1]
    place = self.merge.resolve(target) if self.merge else None
    wanted = place.after if place else target
    if given != wanted:
      of = f" as a piece of {list(target)}" if place else ""
      raise Misfit(f"'{self.text or 'identity'}' gives {list(given)}, not {list(wanted)}{of}")
    if not self.text and _fits_transposed(source):
      raise Misfit("it would fit transposed too: say which is meant")
    if any(isinstance(cut, Arranged) and cut.permutes for cut in cuts):
      raise Misfit(f"'{self.text}' permutes axes before the piece of the source: do it after")
    return Fit(cuts, steps, place)

  def _resolve(self, steps: tuple, shape: Shape) -> tuple:
    resolved = []
    for step in steps:
      resolved.append(step.resolve(shape))
      shape = resolved[-1].after
    return tuple(resolved)


@functools.cache
def parse(text: str) -> Transform:
  """The transform written as `text`; the empty one copies.

  Raises:
    UserError: a step is unknown, malformed, or in the wrong place.
  """
  parts = [part.strip() for part in text.split("|")] if text else []
  merge = Piece.read(parts.pop(), -1) if parts and _name(parts[-1]) == "merge" else None
  steps = [_step(part, text) for part in parts]
  pieces = [index for index, step in enumerate(steps) if isinstance(step, Piece)]
  cut = pieces[-1] + 1 if pieces else 0
  before = steps[: pieces[0]] if pieces else []
  if any(isinstance(step, Order) for step in before) or cut != len(before) + len(pieces):
    raise UserError(f"transform '{text}': only regroup axes before the pieces of the source")
  return Transform(text, tuple(steps[:cut]), tuple(steps[cut:]), merge)


def _step(part: str, text: str) -> Arrange | Order | Piece:
  name = _name(part)
  if "->" in part:
    return Arrange.read(part)
  if name in _PIECES:
    return Piece.read(part, 0)
  if name == "order":
    return Order.read(part)
  if name == "merge":
    raise UserError(f"transform '{text}': 'merge' comes last")
  if name not in TRANSFORMS:
    hint = nearest(name, [*TRANSFORMS, *_PIECES, "order", "merge"])
    raise UserError(f"transform '{text}': there is no '{name}'{hint}")
  return _named(name, part)


def _named(name: str, part: str) -> Arrange:
  named = TRANSFORMS[name]
  given = part.split(":", 1)[1].split(",") if ":" in part else []
  missing = len(named.arguments) - len(given)
  if not all(value.isdigit() for value in given) or not 0 <= missing <= len(named.defaults):
    usage = ":" + ",".join(argument.upper() for argument in named.arguments)
    raise UserError(f"transform '{part}': write it as '{name}{usage.rstrip(':')}'")
  values = [int(value) for value in given]
  values += named.defaults[len(named.defaults) - missing :]
  sizes = dict(zip(named.arguments, values, strict=True))
  return Arrange(axes.parse(named.arrangement), sizes)


def _name(part: str) -> str:
  return part.split(":", 1)[0]


def _fits_transposed(shape: Shape) -> bool:
  """Whether exchanging two axes, each longer than 1, leaves `shape` as it is."""
  long = [size for size in shape if size > 1]
  return len(set(long)) < len(long)
