"""What a hypothesis is given: the evidence, the layer as a program, and trials made of edits."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from official.parity.comparing import measures, verdict
from official.parity.diagnosis.evidence import LayerEvidence
from official.parity.diagnosis.program.program import Edits, Program, Ref
from official.parity.diagnosis.program.tracing import trace


@dataclasses.dataclass(frozen=True)
class Trial:
  """One mistake, undone.

  Attributes:
    cause: a key of `causes.CAUSES`.
    sentence: what the candidate does and what the original does, with the figures.
    outputs: what the layer gives with the mistake undone, by leaf.
    line: "file:line" of what was changed.
  """

  cause: str
  sentence: str
  outputs: Callable[[], Mapping[str, Any]]
  line: str = ""


class Subject:
  """The layer under examination.

  Attributes:
    evidence: as given.
    program: the traced call.
    reference: the original's outputs, by the candidate's leaf names.

  Raises:
    Exception: from tracing, see `tracing.trace`.
  """

  def __init__(self, evidence: LayerEvidence) -> None:
    self.evidence = evidence
    self.program: Program = trace(evidence.layer, evidence.args, evidence.kwargs, evidence.training)
    self.reference = dict(evidence.outputs)
    if len(self.reference) == len(self.program.outputs) == 1:  # A lone leaf needs no name.
      self.reference = dict(zip(self.program.outputs, self.reference.values(), strict=True))

  @functools.cached_property
  def outputs(self) -> dict[str, np.ndarray]:
    """The candidate's outputs that the original has too."""
    return self.arrays(self.run({}))

  @functools.cached_property
  def before(self) -> float:
    """The error of the candidate as it is."""
    return self.error(self.outputs)

  def arrays(self, outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays of the leaves that are judged."""
    return {name: np.asarray(outputs[name]) for name in self.reference if name in outputs}

  def error(self, outputs: Mapping[str, Any]) -> float:
    """The largest error of any leaf; infinite where one is missing or has another shape."""
    return error_of(self.arrays(outputs), self.reference)

  def residual(self, outputs: Mapping[str, Any]) -> np.ndarray | None:
    """All differences in a row, each leaf by its own scale; None where shapes differ."""
    arrays = self.arrays(outputs)
    if any(a.shape != self.reference[name].shape for name, a in arrays.items()) or not arrays:
      return None
    parts = [
      (_wide(a) - _wide(self.reference[name])).ravel()
      / (measures.magnitude(self.reference[name]).rms or 1.0)
      for name, a in arrays.items()
    ]
    return np.concatenate(parts)

  def trial(self, cause: str, sentence: str, edits: Edits, at: int | None = None) -> Trial:
    """A trial that runs the program under `edits`, the chief of them at node `at`."""
    at = next(iter(edits)) if at is None else at
    line = self.program.line(at)
    return Trial(cause, sentence, lambda: self.run(edits), line)

  def run(self, edits: Edits) -> Mapping[str, Any]:
    """What is judged, under `edits`."""
    return self.program.run(edits)

  @functools.cached_property
  def unread(self) -> list[tf.Variable]:
    """Variables that the layer has and does not use."""
    live = {id(v) for index, v in self.program.sources.items() if index in self.program.live}
    return [v for v in getattr(self.evidence.layer, "variables", ()) if id(v) not in live]

  @functools.cached_property
  def idle(self) -> dict[str, np.ndarray]:
    """What no operation reads: variables, and weights of the original that none of those hold."""
    program = self.program
    read = [program.array(Ref(i)) for i in program.variables if i in program.live]
    read = [array for array in read if array.dtype.kind == "f"]
    found = {v.name.removesuffix(":0"): v.numpy() for v in self.unread if v.dtype.is_floating}
    for name, array in self.evidence.parameters.items():
      same = [
        a for a in read if a.size == array.size and np.array_equal(_sorted(a), _sorted(array))
      ]
      if not same and array.dtype.kind == "f":
        found[name] = np.asarray(array)
    return found


def _sorted(array: np.ndarray) -> np.ndarray:
  """The values whatever their layout."""
  return np.sort(array, axis=None)


def error_of(
  candidate: Mapping[str, np.ndarray],
  reference: Mapping[str, np.ndarray],
  group: Callable[[str], str] | None = None,
) -> float:
  """The largest scale-aware error of any array, as `verdict` measures it.

  Args:
    candidate: by name.
    reference: the same names; otherwise the error is infinite.
    group: of a name: arrays of one group share a scale, beside which rounding is zero.
  """
  if not candidate or candidate.keys() != reference.keys():
    return np.inf
  scales: dict[str, float] = {}
  for name in reference if group else ():
    size = measures.magnitude(np.asarray(reference[name])).rms
    scales[group(name)] = max(scales.get(group(name), 0.0), size)
  return max(
    verdict.compare(
      candidate[name], np.asarray(reference[name]), scale=scales[group(name)] if group else 0.0
    ).error
    for name in reference
  )


def _wide(array: np.ndarray) -> np.ndarray:
  return np.asarray(array).astype(np.float64)
