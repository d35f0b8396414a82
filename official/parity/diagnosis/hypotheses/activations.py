"""Activations: recognized by what they compute, not by how they are written."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.hypotheses.solving import name, solve
from official.parity.diagnosis.program.graphs import (
  CONVOLUTIONS,
  PRODUCTS,
  Edge,
  after,
  scalar_edges,
  with_input,
)
from official.parity.diagnosis.program.program import Edits, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

Activation = Callable[[tf.Tensor], tf.Tensor]


def _quick_gelu(x: tf.Tensor) -> tf.Tensor:
  return x * tf.sigmoid(tf.constant(1.702, x.dtype) * x)


def _hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
  return tf.clip_by_value(x / 6 + 0.5, 0, 1)


# GELU by our own hand: tf.nn.gelu's tanh form rounds its constants to the dtype as this does.
def _gelu_tanh(x: tf.Tensor) -> tf.Tensor:
  return x / 2 * (1 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _gelu(x: tf.Tensor) -> tf.Tensor:
  return x / 2 * (1 + tf.math.erf(x / math.sqrt(2)))


def leaky(x: tf.Tensor, slope: float | tf.Tensor) -> tf.Tensor:
  """A leaky rectifier; TensorFlow's own rounds its slope to float32 in float64 too."""
  return tf.where(x > 0, x, slope * x)


ACTIVATIONS: dict[str, Activation] = {
  "none": tf.identity,
  "ReLU": tf.nn.relu,
  "leaky ReLU (0.1)": lambda x: leaky(x, 0.1),
  "leaky ReLU (0.01)": lambda x: leaky(x, 0.01),
  "leaky ReLU (0.2)": lambda x: leaky(x, 0.2),
  "SiLU": tf.nn.silu,
  "mish": lambda x: x * tf.tanh(tf.math.softplus(x)),
  "GELU": _gelu,
  "GELU (tanh)": _gelu_tanh,
  "GELU (sigmoid)": _quick_gelu,
  "sigmoid": tf.sigmoid,
  "tanh": tf.tanh,
  "ReLU6": tf.nn.relu6,
  "ELU": tf.nn.elu,
  "SELU": tf.nn.selu,
  "softplus": tf.math.softplus,
  "hard swish": lambda x: x * _hard_sigmoid(x),
  "hard sigmoid": _hard_sigmoid,
}
SLOPES = {"leaky ReLU (0.1)": 0.1, "leaky ReLU (0.01)": 0.01, "leaky ReLU (0.2)": 0.2}
_GELUS = ("GELU", "GELU (tanh)")
SAMPLE = 128  # Elements that are looked at to recognize a function.
DEPTH = 16  # Operations between an activation's input and its output, at most.


class Found(NamedTuple):
  """`output` is the activation `name` of `source`."""

  name: str
  source: Ref
  output: Ref


@functools.lru_cache(maxsize=1)
def recognize(program: Program) -> list[Found]:
  """Every place where a known activation of one value makes another."""
  found = []
  for node in program.nodes:
    output = Ref(node.index)
    if node.index not in program.live or node.index in program.constants or not node.inputs:
      continue
    if not node.op.outputs or not node.op.outputs[0].dtype.is_floating:
      continue
    for source in _sources(program, output):
      kind = _kind(program, source, output)
      if kind:
        found.append(Found(kind, source, output))
  return found


def _sources(program: Program, output: Ref) -> Iterator[Ref]:
  """Values of the same shape that `output` is made of, nearby, farthest first."""
  shape, level, seen = program.shape(output), [output], []
  for _ in range(DEPTH):
    inputs = {ref for at in level for ref in program.nodes[at.index].inputs}
    level = [ref for ref in inputs if _same_kind(program, ref, output, shape)]
    seen += [ref for ref in level if ref not in seen]
  return reversed(seen)


def _same_kind(program: Program, ref: Ref, output: Ref, shape: tuple[int, ...]) -> bool:
  if ref.index in program.constants:
    return False
  value = program.value(ref)
  return value.dtype == program.value(output).dtype and tuple(value.shape) == shape


def _kind(program: Program, source: Ref, output: Ref) -> str:
  x, y = _sample(program.array(source)), _sample(program.array(output))
  if len(x) < 4 or np.array_equal(x, y):
    return ""
  largest = np.abs(y).max() * (1e-6 if x.dtype == np.float64 else 1e-4)
  errors = {
    kind: np.abs(function(tf.constant(x)).numpy() - y).max()
    for kind, function in ACTIVATIONS.items()
  }
  nearest = min(errors, key=errors.__getitem__)
  return nearest if errors[nearest] <= largest else ""


def _sample(values: np.ndarray) -> np.ndarray:
  flat = values.ravel()
  return flat[:: max(1, len(flat) // SAMPLE)]


def gelu_form(subject: Subject) -> Iterator[Trial]:
  """Exact GELU against its tanh approximation."""
  for group in _groups(subject.program):
    if group[0].name in _GELUS:
      other_ = _GELUS[1 - _GELUS.index(group[0].name)]
      yield _swap(subject, group, other_, "gelu_form")


def other(subject: Subject) -> Iterator[Trial]:
  """Another activation, or none, in place of each one, then of all of a kind."""
  for group in _groups(subject.program):
    for name_ in ACTIVATIONS:
      if name_ != group[0].name:
        yield _swap(subject, group, name_, "activation_other")


def _groups(program: Program) -> Iterator[list[Found]]:
  """Each activation, then all of one kind."""
  alike: dict[str, list[Found]] = {}
  for found in recognize(program):
    alike.setdefault(found.name, []).append(found)
    yield [found]
  yield from (group for group in alike.values() if len(group) > 1)


def missing(subject: Subject) -> Iterator[Trial]:
  """An activation after each layer, product or sum, of the output itself, or between all layers."""
  program = subject.program
  groups = [[ref] for ref in _places(program)]
  groups += [between] if len(between := _between_layers(program)) > 1 else []
  for refs in groups:
    for kind, function in list(ACTIVATIONS.items())[1:]:
      sentence = f"the original goes through {kind} here, the candidate does not"
      edits = {ref.index: after(program, ref, function) for ref in refs}
      yield subject.trial("activation_other", sentence, edits)


def _between_layers(program: Program) -> list[Ref]:
  """What one layer makes and the next one takes as it is."""
  taken = {ref for call in program.calls for ref in call.inputs}
  made = dict.fromkeys(ref for call in program.calls for ref in call.outputs)
  return [ref for ref in made if ref in taken and ref.index in program.live]


def _places(program: Program) -> list[Ref]:
  """Where layers end."""
  ends = [ref for call in program.calls for ref in call.outputs]
  kinds = PRODUCTS | CONVOLUTIONS | {"BiasAdd", "AddV2", "FusedBatchNormV3"}
  ends += [Ref(node.index) for node in program.of_type(*kinds)]
  ends += list(program.outputs.values())
  ends += [Ref(index) for index in program.arguments]
  keep = [r for r in dict.fromkeys(ends) if r.index in program.live]
  return [r for r in keep if r.index not in program.constants and _is_activation(program, r)]


def _is_activation(program: Program, ref: Ref) -> bool:
  return program.value(ref).dtype.is_floating and len(program.shape(ref)) > 1


def _swap(subject: Subject, group: list[Found], other_name: str, cause: str) -> Trial:
  function = ACTIVATIONS[other_name]
  edits = {
    found.output.index: lambda inputs, look, found=found: [function(look(found.source))]
    for found in group
  }
  sentence = f"the candidate applies {group[0].name}, the original {other_name}"
  return subject.trial(cause, sentence, edits)


def slope(subject: Subject) -> Iterator[Trial]:
  """Another slope of a leaky rectifier, as an attribute or as a factor before a maximum."""
  program = subject.program
  places = [(Edge(node, -1), node.attr("alpha")) for node in program.of_type("LeakyRelu")]
  places += [(edge, value) for edge, value in scalar_edges(program) if _is_slope(program, edge)]
  ways = [(functools.partial(_with_slope, edge), start) for edge, start in places]
  for found in recognize(program):
    if found.name in SLOPES:
      ways.append((functools.partial(_as_leaky, found), SLOPES[found.name]))
  for edits, start in ways:
    found = solve(subject, start, edits)
    if found is not None and abs(found) > 1e-6 and abs(found - 1) > 1e-6:
      cause = "precision_lost" if abs(found - start) < 1e-6 * abs(start) else "activation_slope"
      sentence = f"below zero the candidate's slope is {name(start)}, the original's {name(found)}"
      yield subject.trial(cause, sentence, edits(found))


def _with_slope(edge: Edge, number: float) -> Edits:
  if edge.slot >= 0:
    return {edge.node.index: with_input(edge, number)}
  return {edge.node.index: lambda inputs, look: [leaky(inputs[0], number)]}


def _as_leaky(found: Found, number: float) -> Edits:
  return {found.output.index: lambda inputs, look: [leaky(look(found.source), number)]}


def _is_slope(program: Program, edge: Edge) -> bool:
  """Whether the factor's product meets the bare value in a maximum or a choice by sign."""
  if edge.node.type != "Mul":
    return False
  bare = edge.node.inputs[1 - edge.slot]
  readers = program.consumers.get(Ref(edge.node.index), ())
  return any(
    program.nodes[index].type in ("Maximum", "SelectV2") and bare in program.nodes[index].inputs
    for index, _ in readers
  )
