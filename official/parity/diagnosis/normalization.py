"""Normalizations: epsilon, axes and groups, one too many or too few."""

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from official.parity.diagnosis.graphs import (
  SHAPING,
  Edge,
  after,
  is_float,
  origin,
  reaches,
  scalar_edges,
  with_attributes,
  with_input,
)
from official.parity.diagnosis.program import Edit, Edits, Function, Program, Ref
from official.parity.diagnosis.solving import name, solve
from official.parity.diagnosis.subject import Subject, Trial
from official.parity.diagnosis.wiring import ends, sources

_ROOTS = frozenset({"Rsqrt", "Sqrt", "Pow"})
LARGEST_EPSILON = 0.11  # Larger constants beside a variance are no epsilon.


def epsilon(subject: Subject) -> Iterator[Trial]:
  """Each normalization's epsilon by itself, then all of them together."""
  places = list(_epsilons(subject.program))
  alone = [[place] for place in places]
  together = [places] if len(places) > 1 else []
  for group in alone + together:
    start = group[0][1]
    edits = lambda number, group=group: {  # noqa: E731
      edge.node.index: _with_epsilon(edge, number) for edge, _ in group
    }
    found = solve(subject, start, edits, 1.5 * start + 1e-6)
    if found is not None and -1e-9 < found < LARGEST_EPSILON:
      sentence = f"the candidate adds epsilon {name(start)}, the original {name(max(found, 0.0))}"
      yield subject.trial("normalization_epsilon", sentence, edits(found))


def _epsilons(program: Program) -> Iterator[tuple[Edge, float]]:
  for edge, value in scalar_edges(program):
    if abs(value) <= LARGEST_EPSILON and _beside_variance(program, edge):
      yield edge, value
  for node in program.of_type("FusedBatchNormV3"):
    yield Edge(node, -1), node.attr("epsilon")


def _beside_variance(program: Program, edge: Edge) -> bool:
  """Whether the constant joins what is on its way into, or just out of, a square root."""
  node = edge.node
  if node.type in ("Add", "AddV2", "Maximum"):
    into = reaches(program, node.index, _ROOTS, SHAPING)
    other = origin(program, node.inputs[1 - edge.slot])
    return into or program.nodes[other.index].type == "Sqrt"
  return False


def _with_epsilon(edge: Edge, number: float) -> Edit:
  if edge.slot < 0:
    return with_attributes(edge.node, epsilon=number)
  return with_input(edge, number)


class Moments(NamedTuple):
  """Reductions that feed one square root: the means of `source`, and of its squared differences."""

  source: Ref
  mean: Ref
  variance: Ref
  root: Ref


def moments(program: Program) -> list[Moments]:
  """Each normalization that takes its statistics from what it normalizes."""
  found = []
  for root in program.of_type("Rsqrt", "Sqrt", "Pow"):
    above = sorted(program.ancestors(root.inputs[:1]), reverse=True)
    reductions = [i for i in above if program.nodes[i].type in ("Mean", "Sum")]
    for variance, mean in itertools.pairwise(reductions[:2]):
      source = program.nodes[mean].inputs[0]
      if is_float(program, source) and len(program.shape(source)) > 1:
        found.append(Moments(source, Ref(mean), Ref(variance), Ref(root.index)))
  return found


def axes(subject: Subject) -> Iterator[Trial]:
  """Statistics over other axes, or over other groups of channels."""
  program = subject.program
  for found in moments(program):
    rank = len(program.shape(found.source))
    for count in range(1, rank + 1):
      for over in itertools.combinations(range(rank), count):
        sentence = f"the original's statistics run over axes {over} of what is normalized"
        average = lambda x, over=over: _spread(x, tf.reduce_mean(x, over, keepdims=True))  # noqa: E731
        yield subject.trial("normalization_axis", sentence, _averaged(program, found, average))
    yield from _groups(subject, found)


def _groups(subject: Subject, found: Moments) -> Iterator[Trial]:
  """Other numbers of groups, where channels are the last axis, or the last two as groups."""
  program = subject.program
  shape = program.shape(found.source)
  for joined in (1, 2):
    channels = 1
    for size in shape[-joined:]:
      channels *= size
    for groups in range(1, channels + 1):
      if channels % groups == 0 and len(shape) - joined > 1:
        for strided in (False, True):
          sentence = f"the original has {groups} groups{' of strided channels' if strided else ''}"
          average = lambda x, n=groups, c=channels, s=strided: _grouped(x, n, c, s)  # noqa: E731
          yield subject.trial("normalization_axis", sentence, _averaged(program, found, average))


def _grouped(x: tf.Tensor, groups: int, channels: int, strided: bool) -> tf.Tensor:
  """Each value's mean over its image and group, in the shape of `x`."""
  apart = [channels // groups, groups] if strided else [groups, channels // groups]
  flat = tf.reshape(x, [x.shape[0], -1, *apart])
  mean = tf.reduce_mean(flat, [1, 2] if strided else [1, 3], keepdims=True)
  return tf.reshape(_spread(flat, mean), x.shape)


def _spread(x: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
  return tf.broadcast_to(mean, x.shape)


def _averaged(program: Program, found: Moments, average: Function) -> Edits:
  """Statistics of the full shape in place of the reductions; what would shrink them lets pass."""
  edits: Edits = {
    ref.index: lambda inputs, look: [
      average(tf.broadcast_to(inputs[0], program.shape(found.source)))
    ]
    for ref in (found.mean, found.variance)
  }
  reduced = {found.mean, found.variance}
  for node in program.nodes:
    if node.type in ("Squeeze", "Reshape") and node.inputs and node.inputs[0] in reduced:
      edits[node.index] = lambda inputs, look: [inputs[0]]
  return edits


def extra(subject: Subject) -> Iterator[Trial]:
  """A normalization left out, from what it takes to where its shape and values end."""
  program = subject.program
  for found in moments(program):
    shape = program.shape(found.source)
    for index in sorted(program.descendants(found.root.index)):
      ref = Ref(index)
      node = program.nodes[index]
      if node.op.outputs and is_float(program, ref) and program.shape(ref) == shape:
        edit: Edit = lambda inputs, look, source=found.source: [look(source)]  # noqa: E731
        sentence = "the candidate normalizes here, the original does not"
        yield subject.trial("normalization_extra", sentence, {index: edit})


EPSILONS = (1e-5, 1e-6, 1e-3, 1e-12, 1e-4, 1e-8, 1e-7, 1e-2, 0.0)


def missing(subject: Subject) -> Iterator[Trial]:
  """A normalization of what ends a layer or goes into one, with weights that nothing reads."""
  program = subject.program
  weights = list(_idle_weights(subject))
  for place in dict.fromkeys([*ends(program), *sources(program)]):
    shape = program.shape(place)
    inner = tuple(range(1, len(shape) - 1))
    kinds = {"each position's channels": (len(shape) - 1,), "each image's channels": inner}
    fitting = [pair for pair in weights if pair[0].shape[0] in (1, *shape[-1:])]
    for (what, over), eps, pair in itertools.product(kinds.items(), EPSILONS, fitting):
      if over:
        function = functools.partial(_normalized, over=over, eps=eps, weights=pair)
        sentence = f"the original normalizes {what} here (epsilon {name(eps)}), the candidate not"
        edits = {place.index: after(program, place, function)}
        yield subject.trial("normalization_missing", sentence, edits)


def _idle_weights(subject: Subject) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
  """(scale, offset): ones and zeros; pairs of unread variables; the original's own weights."""
  yield tf.ones([1], tf.float64), tf.zeros([1], tf.float64)
  vectors = [v.value() for v in subject.unread if v.shape.rank == 1 and v.dtype.is_floating]
  vectors += [tf.constant(a) for a in subject.evidence.parameters.values() if a.ndim == 1]
  for scale, offset in itertools.permutations(vectors, 2):
    if scale.shape == offset.shape:
      yield scale, offset


def _normalized(
  x: tf.Tensor, over: tuple[int, ...], eps: float, weights: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
  mean, variance = tf.nn.moments(x, over, keepdims=True)
  scale, offset = (tf.cast(weight, x.dtype) for weight in weights)
  return (x - mean) * tf.math.rsqrt(variance + eps) * scale + offset
