"""Findings of a compiled step: what it does that a TPU is bad at, and of which line."""

import re
from collections.abc import Iterator

from official.tpu.budget import Budget
from official.tpu.findings import Finding, Level, merged
from official.tpu.hlo.parsing import Instruction, Module
from official.tpu.hlo.products import flops, products
from official.tpu.origins import Origin, Origins

_LITTLE_ROOM = 0.05  # Of the memory.
_WASTED = 0.02  # Of what is moved; less is not worth a line.
_SLOW = {
  "gather": (
    "reads places that values name, one row at a time",
    "one_hot and a product, or slices",
  ),
  "scatter": (
    "writes to places that values name, one row at a time",
    "one_hot and a product, a masked sum, or tf.where",
  ),
  "sort": ("sorts, on the vector unit", "tf.math.top_k of fewer, or approximate top-k"),
  "while": ("a loop, whose passes wait for one another", "unroll it, or do all passes at once"),
  "rng": ("draws random numbers with a state", "stateless random operations"),
  "fft": ("a Fourier transform", "a convolution or a product"),
  "cholesky": ("a factorization, row after row", "do it on the host, or iterate products"),
  "triangular-solve": ("solves row after row", "do it on the host, or iterate products"),
}
_LESS = "a smaller batch (--search batch), bfloat16, or smaller images"
_CAST = "cast its operands to the layer's compute dtype, or say why float32 is needed"
_ALIGN = "channels in multiples of 128 (8 at least), or another dimension last"
_HOST = ("infeed", "outfeed", "send", "recv")
_HOST_CALL = re.compile(r'custom_call_target="([^"]*(?:[Hh]ost|[Cc]allback)[^"]*)"')


def inspect(
  module: Module, lowered: Module, budget: Budget, precision: str, origins: Origins
) -> list[Finding]:
  """What a compiled step does badly, the worst first.

  Args:
    module: the compiled program.
    lowered: what was compiled.
    budget: of it.
    precision: the dtype in which the model computes.
    origins: of the traced step.
  """
  found = [*_memory(budget), *_slow(module, origins), *_host(module, origins)]
  found += _single(lowered, budget, precision, origins)
  found += _padded(budget, origins)
  return merged(found)


def _memory(budget: Budget) -> Iterator[Finding]:
  memory = budget.memory
  if memory.headroom < 0:
    reason = f"it needs {memory.total:,} bytes of HBM on each core and has {memory.capacity:,}."
    yield _finding("memory", Level.ERROR, Origin("step"), reason, _LESS)
  elif memory.headroom < _LITTLE_ROOM * memory.capacity:
    reason = f"it leaves {memory.headroom:,} bytes of HBM, less than {_LITTLE_ROOM:.0%}."
    yield _finding("memory", Level.WARNING, Origin("step"), reason, _LESS)


def _slow(module: Module, origins: Origins) -> Iterator[Finding]:
  for instruction in _instructions(module):
    if instruction.opcode in _SLOW:
      what, cure = _SLOW[instruction.opcode]
      origin = origins.named(instruction.op_name)
      reason = f"{what}: {instruction.shapes[0]}."
      yield _finding(instruction.opcode, Level.NOTE, origin, reason, cure)


def _host(module: Module, origins: Origins) -> Iterator[Finding]:
  for instruction in _instructions(module):
    call = (
      _HOST_CALL.search(instruction.attributes) if instruction.opcode == "custom-call" else None
    )
    if call or instruction.opcode in _HOST:
      origin = origins.named(instruction.op_name)
      reason = "it sends data to the host or waits for some, within the step."
      cure = "move it to the input pipeline or to aggregate_logs"
      yield _finding("host-transfer", Level.WARNING, origin, reason, cure)


def _single(lowered: Module, budget: Budget, precision: str, origins: Origins) -> Iterator[Finding]:
  """Products of float32 in a model that computes in bfloat16."""
  if precision == "float32" or not budget.model_flops:
    return
  for instruction, computation, times in products(lowered):
    operands = [computation.instructions[name].shapes[0] for name in instruction.operands]
    if all(shape.dtype in ("f32", "f64") for shape in operands):
      share = flops(instruction, computation) * times / budget.model_flops
      origin = origins.named(instruction.op_name)
      reason = (
        f"a product of float32 in a model that computes in {precision}: {share:.2%} of all FLOPs."
      )
      yield _finding("float32-product", Level.NOTE, origin, reason, _CAST)


def _padded(budget: Budget, origins: Origins) -> Iterator[Finding]:
  """What moves many bytes that are nothing but padding of tiles."""
  for cost in budget.costs:
    wasted = cost.bytes.padded - cost.bytes.plain
    if wasted > _WASTED * budget.bytes.padded:
      times = cost.bytes.padded / max(cost.bytes.plain, 1)
      reason = (
        f"its tiles are padded to {times:.1f} times the numbers in them ({cost.shape}): "
        f"{wasted / budget.bytes.padded:.1%} of all bytes moved."
      )
      yield _finding("padding", Level.NOTE, origins.named(cost.op_name), reason, _ALIGN)


def _instructions(module: Module) -> Iterator[Instruction]:
  for computation in module.computations.values():
    yield from computation.instructions.values()


def _finding(rule: str, level: Level, origin: Origin, reason: str, cure: str) -> Finding:
  return Finding(rule, level, origin.op or "(compiler)", origin.layer, origin.line, reason, cure)
