"""Layers inside the blamed one: left out, added, exchanged, or fed with something else."""

import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.evidence import Neighbour
from official.parity.diagnosis.hypotheses.activations import recognize
from official.parity.diagnosis.hypotheses.wiring import ends, flowing, sources
from official.parity.diagnosis.program.execution import Tensors
from official.parity.diagnosis.program.graphs import after
from official.parity.diagnosis.program.program import (
  Call,
  Edits,
  Function,
  Look,
  Node,
  Program,
  Ref,
)
from official.parity.diagnosis.subject import Subject, Trial

_CAUSES = (
  ("norm", "normalization"),
  ("relu|gelu|silu|mish|activation|sigmoid|tanh|elu|swish|hard", "activation_other"),
  ("dropout|drop", "dropout_active"),
  ("pool", "pool_kind"),
  ("pad", "padding"),
)


def kind(layer: str, change: str) -> str:
  """The cause, where a layer of this class is "missing" or "extra" in the candidate."""
  for pattern, cause in _CAUSES:
    if re.search(pattern, layer.lower()):
      return f"normalization_{change}" if cause == "normalization" else cause
  return "layer_order"


def extra(subject: Subject) -> Iterator[Trial]:
  """Each layer inside left out."""
  program = subject.program
  for call in unary_calls(program):
    source, made = call.inputs[0], call.outputs[0]
    if program.shape(source) == program.shape(made):
      name = type(call.layer).__name__
      sentence = f"the candidate runs {call.layer.name} ({name}), the original does not"
      edits = {made.index: lambda inputs, look, source=source: [look(source)]}
      yield subject.trial(kind(name, "extra"), sentence, edits)


def unary_calls(program: Program) -> list[Call]:
  """Calls with one live result that take at least one tensor, each result once."""
  found = {}
  for call in program.calls:
    if len(call.outputs) == 1 and call.inputs and call.outputs[0].index in program.live:
      found.setdefault(call.outputs[0], call)
  return list(found.values())


def missing(subject: Subject) -> Iterator[Trial]:
  """Each layer inside that was not called, called after each other and on each input."""
  program, layer = subject.program, subject.evidence.layer
  called = {id(call.layer) for call in program.calls}
  inside = layer._flatten_layers(include_self=False) if hasattr(layer, "_flatten_layers") else ()
  for idle in inside:
    if id(idle) in called or any(id(part) in called for part in _parts(idle)):
      continue
    name = type(idle).__name__
    for place in dict.fromkeys([*ends(program), *sources(program)]):
      sentence = f"the original runs {idle.name} ({name}), the candidate never calls it"
      edits = {place.index: after(program, place, _function(subject, idle))}
      yield subject.trial(kind(name, "missing"), sentence, edits)


def _parts(layer: Any) -> Iterator[Any]:
  return layer._flatten_layers(include_self=False)


def _function(subject: Subject, layer: Any) -> Function:
  training = subject.evidence.training
  takes = getattr(layer, "_expects_training_arg", False)
  return lambda x: layer(x, training=training) if takes else layer(x)


def order(subject: Subject) -> Iterator[Trial]:
  """Two layers or activations, one after the other, exchanged."""
  program = subject.program
  for first, second in chained(program):
    if program.shape(first.source) == program.shape(first.made) == program.shape(second.source):
      parts = (first.source, first.made, second.source, second.made)
      edit = functools.partial(_exchanged, program, parts)
      sentence = f"the candidate runs {first.name} before {second.name}, the original after"
      yield subject.trial("layer_order", sentence, {second.made.index: edit})


def _exchanged(
  program: Program, parts: tuple[Ref, Ref, Ref, Ref], inputs: Tensors, look: Look
) -> Tensors:
  """The second layer on what the first took, then the first."""
  x, made, into, end = parts
  return [apply(program, x, made, apply(program, into, end, look(x)))]


class Step(NamedTuple):
  """A layer or an activation that makes one value of another."""

  name: str
  source: Ref
  made: Ref


def steps(program: Program) -> list[Step]:
  """Layers with one input and one output, and activations."""
  called = [Step(c.layer.name, c.inputs[0], c.outputs[0]) for c in unary_calls(program)]
  return called + [Step(f.name, f.source, f.output) for f in recognize(program)]


def chained(program: Program) -> Iterator[tuple[Step, Step]]:
  """Pairs where the second takes what the first made."""
  for first, second in itertools.permutations(steps(program), 2):
    if second.source == first.made:
      yield first, second


def apply(program: Program, source: Ref, result: Ref, value: tf.Tensor) -> tf.Tensor:
  """What the part of the program between `source` and `result` makes of `value`."""
  edits: Edits = {source.index: after(program, source, lambda _: value)}
  return program.evaluate([result], edits)[0]


def norm_first(subject: Subject) -> Iterator[Trial]:
  """Normalization before the branch of a residual, or after its sum; all of them at once."""
  program = subject.program
  norms = [c for c in unary_calls(program) if "norm" in type(c.layer).__name__.lower()]
  sums = program.of_type("AddV2", "Add")
  to_before: Edits = {}
  to_after: Edits = {}
  for norm in norms:
    source, made = norm.inputs[0], norm.outputs[0]
    for node in sums:
      result = Ref(node.index)
      if result == source and node.index not in to_before:
        to_before |= _before(program, node, norm)
      elif source in node.inputs and node.index in program.descendants(made.index):
        to_after |= _after(program, node, norm)
  for edits, now, then in ((to_before, "after", "before"), (to_after, "before", "after")):
    if edits:
      sentence = (
        f"the candidate normalizes {now} the residual's sum, the original {then} its branch"
      )
      yield subject.trial("layer_order", sentence, edits)


def _before(program: Program, node: Node, norm: Call) -> Edits:
  """norm(x + f(x)) → x + f(norm(x))."""
  source, made = norm.inputs[0], norm.outputs[0]
  for stem, branch in (node.inputs, node.inputs[::-1]):
    if stem.index in program.ancestors([branch]):
      edit = functools.partial(_normed_branch, program, (stem, branch, source, made))
      return {node.index: edit, made.index: lambda inputs, look: [look(source)]}
  return {}


def _normed_branch(
  program: Program, parts: tuple[Ref, Ref, Ref, Ref], inputs: Tensors, look: Look
) -> Tensors:
  stem, branch, source, made = parts
  x = look(stem)
  return [x + apply(program, stem, branch, apply(program, source, made, x))]


def _after(program: Program, node: Node, norm: Call) -> Edits:
  """x + f(norm(x)) → norm(x + f(x))."""
  source, made = norm.inputs[0], norm.outputs[0]

  def summed(inputs: Tensors, look: Look) -> Tensors:
    return [apply(program, source, made, inputs[0] + inputs[1])]

  return {node.index: summed, made.index: lambda inputs, look: [look(source)]}


def fed_otherwise(subject: Subject) -> Iterator[Trial]:
  """Each layer inside given another value of the same shape."""
  program = subject.program
  for call in unary_calls(program):
    made, source = call.outputs[0], call.inputs[0]
    for other in flowing(program, made.index, program.shape(source)):
      if other != source and other.index not in program.descendants(source.index):
        edits = {
          made.index: lambda inputs, look, parts=(source, made, other): [
            apply(program, parts[0], parts[1], look(parts[2]))
          ]
        }
        sentence = f"the original feeds {call.layer.name} with another value than the candidate"
        yield subject.trial("layer_order", sentence, edits)


def again(subject: Subject) -> Iterator[Trial]:
  """A layer that is run elsewhere, run on what is put out: it was tapped too early."""
  program = subject.program
  for step in steps(program):
    for leaf, end in program.outputs.items():
      if program.shape(end) == program.shape(step.source) == program.shape(step.made):
        edit = functools.partial(_once_more, program, step)
        sentence = (
          f"the original runs {step.name} on {leaf or 'its output'}, the candidate does not"
        )
        yield subject.trial("tap_position", sentence, {end.index: edit})


def _once_more(program: Program, step: Step, inputs: Tensors, look: Look) -> Tensors:
  return [apply(program, step.source, step.made, inputs[0])]


def inner_value(subject: Subject) -> Iterator[Trial]:
  """A value on the way that already is the original's output."""
  program = subject.program
  for leaf, expected in subject.reference.items():
    end = program.outputs.get(leaf)
    if end is None:
      continue
    for ref in flowing(program, end.index, tuple(expected.shape)):
      sentence = "the original's output is a value on the candidate's way to its own"
      edits = {end.index: lambda inputs, look, ref=ref: [look(ref)]}
      yield subject.trial("tap_position", sentence, edits)


def neighbours(subject: Subject) -> Iterator[Trial]:
  """The layer given another of the original's activations instead of its input."""
  program, evidence = subject.program, subject.evidence
  for index in program.arguments:
    ref = Ref(index)
    for other in evidence.neighbours:
      value = other.read()
      if tuple(value.shape) == program.shape(ref) and value.dtype.kind == "f":
        yield _fed(subject, ref, other, value)


def _fed(subject: Subject, ref: Ref, other: Neighbour, value: np.ndarray) -> Trial:
  """The cause depends on whether the candidate has that activation too, and where."""
  if not other.candidate:
    cause = kind(other.layer, "missing")
  elif _parent(other.candidate) == _parent(subject.evidence.path):
    cause = "layer_order"
  else:
    cause = "tap_position"
  tensor = tf.constant(value, subject.program.value(ref).dtype)
  sentence = f"the original feeds it with {other.name} ({other.layer}), the candidate does not"
  return subject.trial(cause, sentence, {ref.index: lambda inputs, look: [tensor]})


def _parent(path: str) -> str:
  return path.rpartition("/")[0]
