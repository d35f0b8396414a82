"""What a compiled program reads from and writes to HBM, instruction by instruction."""

import dataclasses
from collections.abc import Iterable, Iterator

from official.tpu.hlo.parsing import Computation, Instruction, Module
from official.tpu.hlo.products import trips
from official.tpu.hlo.shapes import Shape

_HBM = 0
_NO_WORK = """parameter constant tuple get-tuple-element bitcast after-all partition-id replica-id
copy-done slice-done all-reduce-done all-gather-done collective-permute-done async-done
add-dependency optimization-barrier"""
_FREE = frozenset(_NO_WORK.split())
_CALLS = ("while", "conditional", "call")
_COPIES = ("copy-start", "slice-start")
_PICKS = ("slice", "dynamic-slice", "gather")


@dataclasses.dataclass(frozen=True)
class Bytes:
  """Bytes moved: as they lie in memory, tiles filled up, and of their numbers alone."""

  padded: int = 0
  plain: int = 0

  def __add__(self, other: "Bytes") -> "Bytes":
    return Bytes(self.padded + other.padded, self.plain + other.plain)

  def __mul__(self, times: int) -> "Bytes":
    return Bytes(self.padded * times, self.plain * times)


def scheduled(module: Module) -> Iterator[tuple[Instruction, Computation, int]]:
  """Each instruction that runs by itself, where it stands, and how often it runs.

  What stands in a fusion is a part of it. A loop runs as often as the compiler knows, else once;
  of branches each is counted.
  """
  yield from _scheduled(module, module.entry, 1)


def _scheduled(
  module: Module, computation: Computation, times: int
) -> Iterator[tuple[Instruction, Computation, int]]:
  for instruction in computation.instructions.values():
    if instruction.opcode not in _CALLS:
      yield instruction, computation, times
      continue
    inner = times * (trips(instruction) if instruction.opcode == "while" else 1)
    roles = ("body", "to_apply", "true_computation", "false_computation", "branches", "calls")
    for called in module.of(instruction, *roles):
      yield from _scheduled(module, called, inner)


def moved(instruction: Instruction, computation: Computation, module: Module) -> Bytes:
  """What one instruction reads from and writes to HBM."""
  if instruction.opcode in _FREE:
    return Bytes()
  if instruction.opcode in _COPIES:
    return _copied(instruction)
  fused = module.of(instruction, "calls")
  read = (
    _read(computation.instructions[name].shapes, place, fused)
    for place, name in enumerate(instruction.operands)
    if name in computation.instructions
  )
  return sum(read, _sum(_written(instruction, fused)))


def _copied(instruction: Instruction) -> Bytes:
  """A copy in the background: the first two results are its two ends, in either order."""
  ends = instruction.shapes[:2]
  part = min(ends, key=lambda shape: shape.elements)
  return Bytes(part.padded_bytes, part.bytes) * sum(end.space == _HBM for end in ends)


def _read(shapes: Iterable[Shape], place: int, fused: list[Computation]) -> Bytes:
  """Of one operand; of one that a fusion only picks from, what it picks."""
  in_memory = [shape for shape in shapes if shape.space == _HBM]
  if not in_memory or not fused:
    return _sum(in_memory)
  parameter = fused[0].parameters[place]
  users = fused[0].users[parameter.name]
  if users and all(user.opcode in _PICKS and user.operands[0] == parameter.name for user in users):
    return _sum(shape for user in users for shape in user.shapes)
  if users and all(_updates(user, parameter.name) for user in users):
    return Bytes()
  return _sum(in_memory)


def _written(instruction: Instruction, fused: list[Computation]) -> list[Shape]:
  """The results; of an update in place, what is new."""
  root = fused[0].root if fused else instruction
  if fused and root.opcode == "dynamic-update-slice" and len(root.operands) > 1:
    return list(fused[0].instructions[root.operands[1]].shapes)
  return [shape for shape in instruction.shapes if shape.space == _HBM]


def _updates(user: Instruction, name: str) -> bool:
  """Whether `name` is written to in place."""
  return user.opcode == "dynamic-update-slice" and user.operands[0] == name


def _sum(shapes: Iterable[Shape]) -> Bytes:
  return sum((Bytes(shape.padded_bytes, shape.bytes) for shape in shapes), Bytes())
