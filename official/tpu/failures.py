"""What the TPU's compiler says where it refuses a program, as a finding."""

import re
import textwrap

from official.tpu.compiling import Compiled
from official.tpu.findings import Finding, Level
from official.tpu.hlo import parsing
from official.tpu.hlo.parsing import Instruction
from official.tpu.origins import Origin, Origins

_OP_NAME = re.compile(r'op_name="([^"]+)"')
# (needed, available) in the forms that the compiler is known to say it.
_USED = (
  re.compile(r"Used ([\d.]+\w) of ([\d.]+\w) hbm"),
  re.compile(r"\(([\d.]+\w)\) exceeds available HBM \(([\d.]+\w)\)"),
)
_MEMORY = "RESOURCE_EXHAUSTED"
_SMALLER = "a smaller batch (--search batch), or bfloat16"
_LENGTH = 300


def explain(compiled: Compiled, origins: Origins) -> Finding:
  """The finding that the compiler's message is."""
  error = compiled.error
  if _MEMORY in error:
    return _too_large(compiled, origins)
  if "time limit" in error:
    cure = "a longer --time_limit, or one chip first (--topology v5e:1x1)"
    return _finding("time", Origin("step"), error, cure)
  name = _OP_NAME.search(error)
  origin = origins.named(name[1]) if name else Origin("step")
  reason = textwrap.shorten(error, _LENGTH, placeholder=" …")
  return _finding("not-compiled", origin, reason, "rewrite the operation with others")


def _too_large(compiled: Compiled, origins: Origins) -> Finding:
  """The operation is that of the largest buffer of the program as it is written."""
  used = next((match for each in _USED if (match := each.search(compiled.error))), None)
  figures = f"it needs {used[1]} of the {used[2]} of HBM there are" if used else "out of memory"
  largest = _largest(compiled.lowered)
  origin = origins.named(largest.op_name) if largest and largest.op_name else Origin("step")
  of_it = f"; the largest buffer is of this operation: {largest.shapes[0]}" if largest else ""
  return _finding("memory", origin, f"{figures}{of_it}.", _SMALLER)


def _largest(lowered: str) -> Instruction | None:
  """The instruction with the largest result."""
  if not lowered:
    return None
  instructions = (
    instruction
    for computation in parsing.parse(lowered).computations.values()
    for instruction in computation.live
    if len(instruction.shapes) == 1
  )
  return max(instructions, key=lambda each: each.shapes[0].bytes, default=None)


def _finding(rule: str, origin: Origin, reason: str, cure: str) -> Finding:
  return Finding(rule, Level.ERROR, origin.op, origin.layer, origin.line, reason, cure)
