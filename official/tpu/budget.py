"""What a compiled step takes of a chip: memory, operations, bytes, and the bounds that follow."""

import dataclasses

from official.tpu.chips import Topology
from official.tpu.compiling import Compiled
from official.tpu.costs import Cost, costs
from official.tpu.hlo import parsing, products
from official.tpu.hlo.parsing import Module
from official.tpu.hlo.traffic import Bytes


@dataclasses.dataclass(frozen=True)
class Memory:
  """Bytes of HBM on one core.

  Attributes:
    arguments: variables and the batch.
    outputs: results, those included that take the place of arguments.
    aliased: outputs that do.
    temporaries: what lives within a step.
    code: the program.
    capacity: what there is.
  """

  arguments: int
  outputs: int
  aliased: int
  temporaries: int
  code: int
  capacity: int

  @property
  def total(self) -> int:
    """What a step needs at most."""
    return self.arguments + self.outputs - self.aliased + self.temporaries + self.code

  @property
  def headroom(self) -> int:
    """What is left; negative where it does not fit."""
    return self.capacity - self.total


@dataclasses.dataclass(frozen=True)
class Budget:
  """What a step takes of one core.

  Attributes:
    memory: of it.
    model_flops: of products, as the model is written.
    flops: of products, as compiled; each as often as a matrix unit runs for it.
    single_flops: of products of float32 among `model_flops`.
    compiler_flops: the compiler's own count, additions and the like included.
    bytes: from and to HBM.
    collective_bytes: summed over replicas.
    compute_seconds: that products take at the chip's peak.
    memory_seconds: that `bytes` take at its bandwidth.
    collective_seconds: that a ring takes to sum `collective_bytes`.
    costs: of every instruction that runs by itself, the dearest first.
    open_loops: how many loops there are of which the compiler does not know how often they run;
      all figures count them as if they ran once.
    peak: floating-point operations a second.
  """

  memory: Memory
  model_flops: int
  flops: int
  single_flops: int
  compiler_flops: float
  bytes: Bytes
  collective_bytes: int
  compute_seconds: float
  memory_seconds: float
  collective_seconds: float
  costs: tuple[Cost, ...]
  open_loops: int
  peak: float

  @property
  def bound_seconds(self) -> float:
    """No step can be faster: each of the three is busy all the time, beside the others."""
    return max(self.compute_seconds, self.memory_seconds, self.collective_seconds)

  @property
  def serial_seconds(self) -> float:
    """The same, with one instruction after the other."""
    return sum(cost.seconds for cost in self.costs)

  @property
  def bound_mfu(self) -> float:
    """The share of the peak that the model's products can reach, in 0..1."""
    return self.model_flops / (self.peak * self.bound_seconds) if self.bound_seconds else 0.0

  @property
  def intensity(self) -> float:
    """Floating-point operations for each byte from or to HBM."""
    return self.flops / self.bytes.padded if self.bytes.padded else 0.0

  @property
  def product_share(self) -> float:
    """The share of the estimated cycles in instructions that hold a product, in 0..1."""
    total = sum(cost.cycles for cost in self.costs)
    return sum(cost.cycles for cost in self.costs if cost.flops) / total if total else 0.0

  @property
  def fill(self) -> float:
    """The share of the matrix units that the features fill, over all products, in 0..1."""
    flops = sum(cost.flops for cost in self.costs)
    return flops / sum(c.flops / c.fill for c in self.costs if c.flops) if flops else 1.0


def budget(compiled: Compiled, topology: Topology) -> Budget:
  """The budget of a step that compiled for `topology`."""
  module = parsing.parse(compiled.optimized)
  found = costs(module, topology)
  model, single = _model_flops(parsing.parse(compiled.lowered))
  flops = _executed_flops(module)
  moved = sum((cost.bytes for cost in found), Bytes())
  summed = sum(cost.collective for cost in found)
  return Budget(
    memory=_memory(compiled, topology),
    model_flops=model,
    flops=flops,
    single_flops=single,
    compiler_flops=compiled.costs.get("flops", 0.0),
    bytes=moved,
    collective_bytes=summed,
    compute_seconds=flops / topology.peak,
    memory_seconds=moved.padded / topology.bandwidth,
    collective_seconds=topology.summing_seconds(summed),
    costs=tuple(found),
    open_loops=_open_loops(module),
    peak=topology.peak,
  )


def _memory(compiled: Compiled, topology: Topology) -> Memory:
  parts = {field.name: compiled.memory.get(field.name, 0) for field in dataclasses.fields(Memory)}
  return Memory(**{**parts, "capacity": topology.memory})


def _model_flops(module: Module) -> tuple[int, int]:
  """FLOPs of all products, and of those of float32 (or wider)."""
  total = single = 0
  for instruction, computation, times in products.products(module):
    flops = products.flops(instruction, computation) * times
    operands = [computation.instructions[name].shapes[0] for name in instruction.operands]
    total += flops
    single += flops * all(shape.dtype in ("f32", "f64") for shape in operands)
  return total, single


def _open_loops(module: Module) -> int:
  return sum(
    instruction.opcode == "while" and instruction.trips is None
    for computation in module.computations.values()
    for instruction in computation.instructions.values()
  )


def _executed_flops(module: Module) -> int:
  return sum(
    products.flops(instruction, computation) * products.passes(instruction) * times
    for instruction, computation, times in products.products(module)
  )
