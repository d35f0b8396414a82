"""Attention: the softmax's axis and scale; the order of queries, keys, values and heads."""

import functools
from collections.abc import Iterator

import tensorflow as tf

from official.parity.diagnosis.hypotheses import wiring
from official.parity.diagnosis.hypotheses.solving import name, solve
from official.parity.diagnosis.program.graphs import (
  PRODUCTS,
  SHAPING,
  after,
  is_data,
  leads_only_to,
  origin,
  scalar_edges,
  with_input,
)
from official.parity.diagnosis.program.program import Edits, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

SOFTMAX = ("Softmax", "LogSoftmax")


def softmax_axis(subject: Subject) -> Iterator[Trial]:
  """Each softmax over each other axis, as one operation or as exponentials and their sums."""
  program = subject.program
  for node in program.of_type(*SOFTMAX):
    function = tf.nn.softmax if node.type == "Softmax" else tf.nn.log_softmax
    for axis in range(len(program.shape(node.inputs[0])) - 1):
      edit = lambda inputs, look, axis=axis, f=function: [f(inputs[0], axis=axis)]  # noqa: E731
      sentence = f"the original's softmax runs over axis {axis} of what goes in here"
      yield subject.trial("softmax_axis", sentence, {node.index: edit})
  for source, result in written_out(program):
    for axis in range(len(program.shape(source))):
      edit = lambda inputs, look, axis=axis, ref=source: [tf.nn.softmax(look(ref), axis=axis)]  # noqa: E731
      sentence = f"the original's softmax runs over axis {axis} of what goes in here"
      yield subject.trial("softmax_axis", sentence, {result.index: edit})


def written_out(program: Program) -> Iterator[tuple[Ref, Ref]]:
  """exp(x) / sum(exp(x)): (what goes into the exponential, the quotient)."""
  for node in program.of_type("RealDiv"):
    top, below = (origin(program, ref, {"Identity"}) for ref in node.inputs)
    summed = program.nodes[origin(program, below, SHAPING).index]
    if program.nodes[top.index].type != "Exp" or summed.type != "Sum":
      continue
    if origin(program, summed.inputs[0], {"Identity"}) == top:
      yield program.nodes[top.index].inputs[0], Ref(node.index)


def scale_constant(subject: Subject) -> Iterator[Trial]:
  """A factor that every way to the output takes into a softmax."""
  program = subject.program
  for edge, start in scalar_edges(program):
    if edge.node.type not in ("Mul", "RealDiv") or not start:
      continue
    if not leads_only_to(program, edge.node.index, {*SOFTMAX, "Exp"}):
      continue
    edits = lambda number, edge=edge: {edge.node.index: with_input(edge, number)}  # noqa: E731
    found = solve(subject, start, edits)
    if found:
      sentence = f"scores are scaled by {name(start)}, in the original by {name(found)}"
      yield subject.trial("attention_scale", sentence, edits(found))


def scale_missing(subject: Subject) -> Iterator[Trial]:
  """A factor on what goes into each softmax, or on the products that it is made of."""
  program = subject.program
  for place in score_places(program):
    scaled = functools.partial(_scaled, program, place)
    for start in [1.0, *(n**-0.5 for n in _widths(program)), *(n**0.5 for n in _widths(program))]:
      found = solve(subject, start, scaled)
      if found:
        sentence = f"the original multiplies scores by {name(found)} here, the candidate does not"
        yield subject.trial("attention_scale", sentence, scaled(found))
        break


def _scaled(program: Program, place: Ref, factor: float) -> Edits:
  return {place.index: after(program, place, lambda x: x * factor)}


def score_places(program: Program) -> list[Ref]:
  """What goes into softmaxes, then the products of two activations on the way there."""
  ends = [node.inputs[0] for node in program.of_type(*SOFTMAX)]
  ends += [source for source, _ in written_out(program)]
  above = program.ancestors(ends)
  products = [
    Ref(node.index)
    for node in program.of_type(*PRODUCTS)
    if node.index in above and all(is_data(program, ref) for ref in node.inputs[:2])
  ]
  return list(dict.fromkeys(ends + products))


def _widths(program: Program) -> list[int]:
  """Lengths of what is multiplied into scores."""
  products = [program.nodes[ref.index] for ref in score_places(program)]
  lengths = {program.shape(n.inputs[0])[-1] for n in products if n.type in PRODUCTS}
  return sorted(lengths)


def qkv_order(subject: Subject) -> Iterator[Trial]:
  """Three equal parts of one value, taken as query, key and value in another order."""
  if subject.program.of_type(*SOFTMAX) or list(written_out(subject.program)):
    for parts in wiring.equal_parts(subject.program):
      yield from wiring.permuted(subject, parts, "qkv_order", "query, key and value")
