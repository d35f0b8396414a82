"""Parameters as units: the parts of one layer, which go to one layer of the other side."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from official.checkpoints import naming
from official.checkpoints.axes import Shape

# What a projection is stacked of, by the word for it.
_STACKS = {"qkv": ("query", "key", "value"), "kv": ("key", "value")}


@dataclasses.dataclass(frozen=True)
class Parameter:
  """What is known of a parameter or variable besides its name and its place in the order.

  Attributes:
    shape: of it.
    layer: class name of the module or layer that it belongs to; empty if not known.
  """

  shape: Shape
  layer: str = ""


@dataclasses.dataclass(frozen=True)
class Part:
  """A parameter of a unit, or a piece of it.

  Attributes:
    name: the parameter's.
    parameter: what is known of it; of a piece, with the piece's shape.
    piece: "0/3" and the like; empty: all of it.
  """

  name: str
  parameter: Parameter
  piece: str = ""


@dataclasses.dataclass(frozen=True)
class Unit:
  """Parts that go together.

  Attributes:
    words: where it belongs, see `naming`.
    parts: by role.
  """

  words: tuple[str, ...]
  parts: Mapping[str, Part]

  @property
  def signature(self) -> tuple:
    """All that decides which units it could go to."""
    return tuple(
      (role, part.parameter.shape, part.parameter.layer, naming.last_word(part.name))
      for role, part in self.parts.items()
    )


def collect(parameters: Mapping[str, Parameter]) -> list[Unit]:
  """The units of one side, in the order of their first parameters."""
  words: dict[str, tuple[str, ...]] = {}
  parts: dict[str, dict[str, Part]] = {}
  for name, parameter in parameters.items():
    read = naming.read(name)
    module = read.module if read.role not in parts.get(read.module, ()) else name
    words[module] = read.words
    parts.setdefault(module, {})[read.role] = Part(name, parameter)
  return [Unit(words[module], _alone(found)) for module, found in parts.items()]


def _alone(parts: dict[str, Part]) -> dict[str, Part]:
  """A part that has no other beside it may be anything: `relative_bias` is no bias of a layer."""
  return dict(zip(["weight"], parts.values(), strict=True)) if len(parts) == 1 else parts


def unstacked(units: Iterable[Unit], others: Iterable[Unit], axis: int) -> list[Unit]:
  """`units`, with stacked projections cut along `axis` if no projection of `others` is stacked."""
  keep = {word for unit in others for word in unit.words}
  return [piece for unit in units for piece in _cut(unit, keep, axis)]


def _cut(unit: Unit, keep: set[str], axis: int) -> Iterator[Unit]:
  stack = next((word for word in unit.words if word in _STACKS and word not in keep), "")
  pieces = _STACKS.get(stack, ())
  shapes = [part.parameter.shape for part in unit.parts.values()]
  if not pieces or any(not shape or shape[axis] % len(pieces) for shape in shapes):
    yield unit
    return
  for index, word in enumerate(pieces):
    words = tuple(word if old == stack else old for old in unit.words)
    parts = {role: _piece(p, index, len(pieces), axis) for role, p in unit.parts.items()}
    yield Unit(words, parts)


def _piece(part: Part, index: int, count: int, axis: int) -> Part:
  shape = list(part.parameter.shape)
  shape[axis] //= count
  parameter = dataclasses.replace(part.parameter, shape=tuple(shape))
  return Part(part.name, parameter, f"{index}/{count}")
