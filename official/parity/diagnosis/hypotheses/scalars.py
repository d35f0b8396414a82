"""Any number in the layer, solved for: the net under hypotheses that know what they look for."""

import functools
import itertools
import math
from collections.abc import Iterator

import tensorflow as tf

from official.parity.diagnosis.hypotheses.solving import name, solve
from official.parity.diagnosis.hypotheses.wiring import ends, sources
from official.parity.diagnosis.program.graphs import (
  LINEAR,
  SINES,
  Edge,
  after,
  is_float,
  leads_only_to,
  reaches,
  scalar_edges,
  with_input,
)
from official.parity.diagnosis.program.program import Edits, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

_FACTORS = ("Mul", "RealDiv", "Pow")
_WAVE_SCALES = (math.tau, math.pi, 1 / math.tau, 1 / math.pi, 1.0, 2.0, 0.5, 1e4, 1e3, 100.0, 20.0)
_ROUNDING = 1e-6  # A number that is off by less was rounded, not mistaken.


def constants(subject: Subject) -> Iterator[Trial]:
  """Every constant of one element where it meets data; then equal ones in like places together."""
  program = subject.program
  for edges, start in _groups(program):
    edits = functools.partial(_set, edges)
    waves = any(reaches(program, edge.node.index, SINES, LINEAR) for edge in edges)
    found = solve(subject, start, edits, guesses=_WAVE_SCALES if waves else ())
    if found is not None and found != start:
      sentence = f"the candidate has {name(start)} here, the original {name(found)}"
      yield subject.trial(_cause(program, edges[0], start, found), sentence, edits(found))


def _groups(program: Program) -> Iterator[tuple[list[Edge], float]]:
  alike: dict[tuple[str, int, float], list[Edge]] = {}
  for edge, value in scalar_edges(program):
    alike.setdefault((edge.node.type, edge.slot, value), []).append(edge)
    yield [edge], value
  yield from ((edges, key[2]) for key, edges in alike.items() if len(edges) > 1)


def _set(edges: list[Edge], number: float) -> Edits:
  return {edge.node.index: with_input(edge, number) for edge in edges}


def _cause(program: Program, edge: Edge, start: float, found: float) -> str:
  if abs(found - start) <= _ROUNDING * abs(start):
    return "precision_lost"
  if edge.node.type in ("Sin", "Cos") or leads_only_to(program, edge.node.index, SINES):
    return "position_normalization"
  if "pos" in program.nodes[edge.node.index].op.name.lower():
    return "position_normalization"
  return "constant_factor" if edge.node.type in _FACTORS else "constant_offset"


def positions(subject: Subject) -> Iterator[Trial]:
  """A factor or an offset on what goes into sines and cosines, along one axis or along all."""
  program = subject.program
  waves = program.of_type(*SINES)
  alike: dict[tuple[str, int], list[Ref]] = {}
  for index in sorted(program.ancestors(ref for node in waves for ref in node.inputs)):
    node, ref = program.nodes[index], Ref(index)
    usable = node.op.outputs and is_float(program, ref) and node.type not in ("Const", "Identity")
    if usable and program.shape(ref):
      alike.setdefault((node.type, len(program.shape(ref))), []).append(ref)
  for refs in alike.values():
    for group in [[ref] for ref in refs] + [refs] * (len(refs) > 1):
      yield from _affine(subject, group, "position_normalization")
    yield from _by_largest(subject, refs)


def _by_largest(subject: Subject, refs: list[Ref]) -> Iterator[Trial]:
  """Positions that the original divides by the largest of their image."""
  for scale, eps in itertools.product(_WAVE_SCALES[:5], (0.0, 1e-6)):
    function = functools.partial(_normalized, scale=scale, eps=eps)
    edits = {ref.index: after(subject.program, ref, function) for ref in refs}
    sentence = f"the original brings positions to 0 … {name(scale)} (epsilon {name(eps)})"
    yield subject.trial("position_normalization", sentence, edits)


def _normalized(x: tf.Tensor, scale: float, eps: float) -> tf.Tensor:
  over = list(range(1, 3)) if x.shape.rank > 2 else None
  return x / (tf.reduce_max(x, over, keepdims=True) + eps) * scale


def inserted(subject: Subject) -> Iterator[Trial]:
  """A factor on what goes into or comes out of a layer, or into a sum."""
  program = subject.program
  terms = [ref for node in program.of_type("AddV2", "Add") for ref in node.inputs]
  for ref in dict.fromkeys([*ends(program), *sources(program), *terms]):
    if len(program.shape(ref)) > 1:
      yield from _affine(subject, [ref], "constant")


def _affine(subject: Subject, refs: list[Ref], cause: str) -> Iterator[Trial]:
  for what, start in (("factor", 1.0), ("offset", 0.0)):
    edits = functools.partial(_changed, subject.program, refs, what)
    guesses = _WAVE_SCALES if cause == "position_normalization" and what == "factor" else ()
    found = solve(subject, start, edits, guesses=guesses)
    if found is not None and found != start:
      sign = "multiplies by" if what == "factor" else "adds"
      kind = f"constant_{what}" if cause == "constant" else cause
      yield subject.trial(kind, f"the original {sign} {name(found)} here", edits(found))


def _changed(program: Program, refs: list[Ref], what: str, number: float) -> Edits:
  function = (lambda x: x * number) if what == "factor" else (lambda x: x + number)
  return {ref.index: after(program, ref, function) for ref in refs}
