"""What each instruction of a compiled program costs, and which layer it is of."""

import dataclasses
import math
from collections.abc import Iterator

from official.tpu.chips import Topology
from official.tpu.hlo import products, traffic
from official.tpu.hlo.parsing import Computation, Instruction, Module
from official.tpu.hlo.traffic import Bytes

COLLECTIVES = (
  "all-reduce",
  "all-gather",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)


@dataclasses.dataclass(frozen=True)
class Cost:
  """What one instruction of the compiled program costs, all its runs in a step together.

  Attributes:
    name: of the instruction.
    opcode: its kind.
    op_name: the TensorFlow operation that it is of: of a fusion, of the product in it.
    shape: of its first result.
    flops: of products in it.
    fill: the share of the matrix units that its products' features fill, in 0..1; 1 without any.
    bytes: from and to HBM.
    cycles: what the compiler estimates.
    seconds: that it takes at least, on the chip's published figures.
    collective: bytes that it sums over replicas.
  """

  name: str
  opcode: str
  op_name: str
  shape: str
  flops: int
  fill: float
  bytes: Bytes
  cycles: int
  seconds: float
  collective: int = 0


def costs(module: Module, topology: Topology) -> list[Cost]:
  """Of every instruction that runs by itself, the dearest first."""
  found = [
    _cost(instruction, computation, times, module, topology)
    for instruction, computation, times in traffic.scheduled(module)
  ]
  return sorted(found, key=lambda cost: (cost.cycles, cost.seconds), reverse=True)


def _cost(
  instruction: Instruction,
  computation: Computation,
  times: int,
  module: Module,
  topology: Topology,
) -> Cost:
  inside = list(_products(instruction, computation, module))
  flops = sum(products.flops(each, where) for each, where in inside)
  runs = sum(products.flops(each, where) * products.passes(each) for each, where in inside)
  moved = traffic.moved(instruction, computation, module)
  summed = _summed(instruction)
  seconds = max(runs / topology.peak, moved.padded / topology.bandwidth)
  return Cost(
    name=instruction.name,
    opcode=instruction.opcode,
    op_name=_op_name(instruction, inside),
    shape=str(instruction.shapes[0]) if instruction.shapes else "",
    flops=flops * times,
    fill=_fill(inside, topology.chip.matrix),
    bytes=moved * times,
    cycles=instruction.cycles * times,
    seconds=max(seconds, topology.summing_seconds(summed)) * times,
    collective=summed * times,
  )


def _products(
  instruction: Instruction, computation: Computation, module: Module
) -> Iterator[tuple[Instruction, Computation]]:
  """The products in an instruction, and where each stands."""
  if instruction.opcode in products.PRODUCTS:
    yield instruction, computation
  for called in module.of(instruction, "calls"):
    for inner in called.instructions.values():
      yield from _products(inner, called, module)


def _op_name(instruction: Instruction, inside: list[tuple[Instruction, Computation]]) -> str:
  largest = max(inside, key=lambda pair: products.flops(*pair), default=None)
  return (largest[0].op_name if largest else "") or instruction.op_name


def _summed(instruction: Instruction) -> int:
  """Bytes of a collective's results; what it started in the background is counted there."""
  if instruction.opcode.removesuffix("-start") not in COLLECTIVES:
    return 0
  return sum(shape.bytes for shape in instruction.shapes)


def _fill(inside: list[tuple[Instruction, Computation]], side: int) -> float:
  """The share of matrix units of `side` × `side` that the features of the products fill."""
  flops = sum(products.flops(*pair) for pair in inside)
  if not flops:
    return 1.0
  padded = (products.flops(*pair) / _share(*pair, side) for pair in inside)
  return flops / sum(padded)


def _share(instruction: Instruction, computation: Computation, side: int) -> float:
  """As `_fill`, of one product: input and output features, each against a unit's side."""
  features = products.features(instruction, computation)
  return math.prod(size / (math.ceil(size / side) * side) for size in features)
