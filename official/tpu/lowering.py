"""Lowers a traced step to XLA's language: one program, its inputs and its variables."""

import dataclasses
import hashlib
import re
from typing import Any

import tensorflow as tf

from official.tpu.findings import Finding, Level
from official.tpu.origins import Origins
from official.tpu.step import Step

_NODE = re.compile(r"\{\{node ([^}]+)\}\}")
_FUNCTION = re.compile(r"_\d+__(?=\W)")  # How names of traced functions end.
_REASON = 300


@dataclasses.dataclass(frozen=True)
class Program:
  """A step in XLA's language.

  Its parameters are the inputs, then one for each capture; its results are the outputs, then the
  new value of each variable that it writes.

  Attributes:
    hlo: the module, a serialized `HloModuleProto`.
    inputs: how many of the parameters are inputs.
    captured: variables (or constant tensors) that the parameters after those are.
  """

  hlo: bytes
  inputs: int
  captured: tuple[Any, ...]

  @property
  def digest(self) -> str:
    """Tells programs apart, whatever numbers TensorFlow gives traced functions.

    Large constants count by their shapes alone, which is what compiling depends on.
    """
    return hashlib.sha256(_FUNCTION.sub("", self.text()).encode()).hexdigest()

  def text(self) -> str:
    """The module as text."""
    from jaxlib import _hlo

    return _hlo.HloModule.from_serialized_hlo_module_proto(self.hlo).to_string()


class NotLowered(Exception):
  """A step that XLA cannot express.

  Attributes:
    finding: why.
  """

  def __init__(self, finding: Finding) -> None:
    super().__init__(finding.reason)
    self.finding = finding


def lower(step: Step) -> Program:
  """The program of one replica.

  Raises:
    NotLowered: XLA has no kernel for an operation, or does not find a shape to be constant.
  """
  graph = step.graph
  try:
    compiler_ir = step.function.experimental_get_compiler_ir(*step.specs)
    hlo = compiler_ir(stage="hlo_serialized")
  except (ValueError, tf.errors.OpError) as error:
    raise NotLowered(_explain(str(error), Origins(graph, step.model))) from error
  return Program(hlo, len(step.specs), tuple(graph.captured_inputs))


def _explain(message: str, origins: Origins) -> Finding:
  """What the compiler's words say, and of which operation."""
  nodes = _NODE.findall(message)
  origin = origins.named(nodes[0]) if nodes else None
  reason = re.sub(r"\s+", " ", message.removeprefix("Failed getting HLO text: "))[:_REASON]
  return Finding(
    "not-lowered",
    Level.ERROR,
    origin.op if origin else "",
    origin.layer if origin else "",
    origin.line if origin else "",
    reason,
    "see the findings of the lint above it; else rewrite the operation with ones that XLA knows",
  )
