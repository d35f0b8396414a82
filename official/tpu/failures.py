"""What the TPU's compiler says where it refuses a program, as a finding."""

import re
import textwrap

from official.tpu.findings import Finding, Level
from official.tpu.origins import Origin, Origins

_OP_NAME = re.compile(r'op_name="([^"]+)"|Operator: op_name="([^"]+)"')
_USED = re.compile(r"Used ([\d.]+\w) of ([\d.]+\w) hbm\. Exceeded hbm capacity by ([\d.]+\w)")
_MEMORY = "RESOURCE_EXHAUSTED"
_LENGTH = 300


def explain(error: str, origins: Origins) -> Finding:
  """The finding that the compiler's message is."""
  name = _OP_NAME.search(error)
  origin = origins.named(name[1] or name[2]) if name else Origin("step")
  if _MEMORY in error:
    return _too_large(error, origin)
  if "time limit" in error:
    cure = "a longer --time_limit, or one chip first (--topology v5e:1x1)"
    return _finding("time", Origin("step"), error, cure)
  reason = textwrap.shorten(error, _LENGTH, placeholder=" …")
  return _finding("not-compiled", origin, reason, "rewrite the operation with others")


def _too_large(error: str, origin: Origin) -> Finding:
  """`origin` is of the largest allocation, which the compiler lists first."""
  used = _USED.search(error)
  figures = f"it needs {used[1]} of the {used[2]} of HBM there are" if used else "out of memory"
  reason = f"{figures}; the largest buffer is of this operation."
  return _finding("memory", origin, reason, "a smaller batch (--search batch), or bfloat16")


def _finding(rule: str, origin: Origin, reason: str, cure: str) -> Finding:
  return Finding(rule, Level.ERROR, origin.op, origin.layer, origin.line, reason, cure)
