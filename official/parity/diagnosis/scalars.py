"""Any number in the layer, solved for: the net under hypotheses that know what they look for."""

import functools
from collections.abc import Iterator

from official.parity.diagnosis.graphs import (
  SINES,
  Edge,
  after,
  leads_only_to,
  scalar_edges,
  with_input,
)
from official.parity.diagnosis.program import Edits, Program, Ref
from official.parity.diagnosis.solving import name, solve
from official.parity.diagnosis.subject import Subject, Trial
from official.parity.diagnosis.wiring import ends, sources

_FACTORS = ("Mul", "RealDiv", "Pow")
_ROUNDING = 1e-6  # A number that is off by less was rounded, not mistaken.


def constants(subject: Subject) -> Iterator[Trial]:
  """Every constant of one element, where it meets data."""
  for edge, start in scalar_edges(subject.program):
    edits = lambda number, edge=edge: {edge.node.index: with_input(edge, number)}  # noqa: E731
    found = solve(subject, start, edits)
    if found is not None and found != start:
      sentence = f"the candidate has {name(start)} here, the original {name(found)}"
      yield subject.trial(_cause(subject.program, edge, start, found), sentence, edits(found))


def _cause(program: Program, edge: Edge, start: float, found: float) -> str:
  if abs(found - start) <= _ROUNDING * abs(start):
    return "precision_lost"
  if edge.node.type in ("Sin", "Cos") or leads_only_to(program, edge.node.index, SINES):
    return "position_normalization"
  if "pos" in program.nodes[edge.node.index].op.name.lower():
    return "position_normalization"
  return "constant_factor" if edge.node.type in _FACTORS else "constant_offset"


def positions(subject: Subject) -> Iterator[Trial]:
  """A factor or an offset on what goes into sines and cosines."""
  program = subject.program
  waves = program.of_type(*SINES)
  if not waves:
    return
  above = program.ancestors(ref for node in waves for ref in node.inputs)
  for index in sorted(above):
    node = program.nodes[index]
    ref = Ref(index)
    usable = node.op.outputs and node.op.outputs[0].dtype.is_floating
    if usable and len(program.shape(ref)) and node.type not in ("Const", "Identity"):
      yield from _affine(subject, ref, "position_normalization")


def inserted(subject: Subject) -> Iterator[Trial]:
  """A factor on what goes into or comes out of a layer, or into a sum."""
  program = subject.program
  terms = [ref for node in program.of_type("AddV2", "Add") for ref in node.inputs]
  for ref in dict.fromkeys([*ends(program), *sources(program), *terms]):
    if len(program.shape(ref)) > 1:
      yield from _affine(subject, ref, "constant")


def _affine(subject: Subject, ref: Ref, cause: str) -> Iterator[Trial]:
  for what, start in (("factor", 1.0), ("offset", 0.0)):
    edits = functools.partial(_changed, subject.program, ref, what)
    found = solve(subject, start, edits)
    if found is not None and found != start:
      sign = "multiplies by" if what == "factor" else "adds"
      kind = f"constant_{what}" if cause == "constant" else cause
      yield subject.trial(kind, f"the original {sign} {name(found)} here", edits(found))


def _changed(program: Program, ref: Ref, what: str, number: float) -> Edits:
  function = (lambda x: x * number) if what == "factor" else (lambda x: x + number)
  return {ref.index: after(program, ref, function)}
