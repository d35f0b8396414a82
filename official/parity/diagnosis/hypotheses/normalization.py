"""Normalizations: epsilon, axes and groups, one too many or too few."""

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.hypotheses.solving import name, solve
from official.parity.diagnosis.hypotheses.wiring import ends, sources
from official.parity.diagnosis.program.execution import Tensors
from official.parity.diagnosis.program.graphs import (
  SHAPING,
  Edge,
  after,
  is_data,
  is_float,
  origin,
  reaches,
  scalar_edges,
  with_attributes,
  with_input,
)
from official.parity.diagnosis.program.program import (
  Edit,
  Edits,
  Function,
  Look,
  Node,
  Program,
  Ref,
  replace,
)
from official.parity.diagnosis.subject import Subject, Trial

_ROOTS = frozenset({"Rsqrt", "Sqrt", "Pow"})
_SHIFTS = SHAPING | {"Add", "AddV2", "Maximum"}
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
  """Mean and variance of `source` over `axes`, under a square root: recognized by their values."""

  source: Ref
  axes: tuple[int, ...]
  means: tuple[Ref, ...]
  variance: Ref
  root: Ref


@functools.lru_cache(maxsize=1)
def moments(program: Program) -> tuple[Moments, ...]:
  """Each normalization that takes its statistics from what it normalizes."""
  return tuple(
    found for root in program.of_type("Rsqrt", "Sqrt", "Pow") for found in _moments(program, root)
  )


def _moments(program: Program, root: Node) -> Iterator[Moments]:
  refs = [Ref(i) for i in sorted(program.ancestors(root.inputs[:1]))]
  refs = [ref for ref in refs if is_data(program, ref) and program.shape(ref)]
  arrays = {ref: program.array(ref) for ref in refs}
  variances = {ref: arrays[ref] for ref in _under(program, root) if ref in arrays}
  shapes: set[tuple[int, ...]] = set()
  for source, x in reversed(arrays.items()):  # The nearest that fits: norms follow each other.
    for over in _subsets(x.ndim) if x.ndim > 1 and x.shape not in shapes else ():
      variance = _equal(variances, x.var(over), source)
      means = _equal(arrays, x.mean(over), source) if variance else []
      if means:
        shapes.add(x.shape)
        yield Moments(source, over, tuple(means), variance[-1], Ref(root.index))


def _under(program: Program, root: Node) -> Iterator[Ref]:
  """Values on the way into the root, up to what is reduced."""
  ref = root.inputs[0]
  while True:
    yield ref
    node = program.nodes[ref.index]
    data = [i for i in node.inputs if i.index not in program.constants]
    if node.type not in _SHIFTS or len(data) != 1:
      return
    ref = data[0]


def _subsets(rank: int) -> Iterator[tuple[int, ...]]:
  for count in range(1, rank + 1):
    yield from itertools.combinations(range(rank), count)


def _equal(arrays: Mapping[Ref, np.ndarray], values: np.ndarray, after_: Ref) -> list[Ref]:
  """Which arrays hold these values, in whatever shape, after the node of `after_`."""
  return [
    ref
    for ref, array in arrays.items()
    if ref.index > after_.index
    and array.size == values.size
    and np.allclose(array.ravel(), values.ravel(), 1e-5, 1e-7)
  ]


def axes(subject: Subject) -> Iterator[Trial]:
  """Statistics over other axes, or over other groups of channels."""
  program = subject.program
  for found in moments(program):
    for over in _subsets(len(program.shape(found.source))):
      sentence = (
        f"the candidate's statistics run over axes {found.axes}, the original's over {over}"
      )
      average = lambda x, over=over: tf.reduce_mean(x, over, keepdims=True)  # noqa: E731
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
  return tf.reshape(tf.broadcast_to(mean, flat.shape), x.shape)


def _averaged(program: Program, found: Moments, average: Function) -> Edits:
  """Statistics of the full shape in place of the reduced; what would reshape them lets pass."""

  def mean(inputs: Tensors, look: Look) -> Tensors:
    x = look(found.source)
    return [tf.broadcast_to(average(x), x.shape)]

  def variance(inputs: Tensors, look: Look) -> Tensors:
    x = look(found.source)
    return [tf.broadcast_to(average(tf.square(x - average(x))), x.shape)]

  edits: Edits = {ref.index: mean for ref in found.means} | {found.variance.index: variance}
  for node in program.nodes:
    if node.type in ("Squeeze", "Reshape") and node.inputs and node.inputs[0].index in edits:
      edits.setdefault(node.index, lambda inputs, look: [inputs[0]])
  return edits


def statistics(subject: Subject) -> Iterator[Trial]:
  """Statistics of the batch against moving ones, where the mode does not change them."""
  program = subject.program
  for mean, variance, source in _stored(program):
    x = program.value(source)
    found = tf.nn.moments(x, list(range(x.shape.rank - 1)))
    edits = {mean: replace(found[0]), variance: replace(found[1])}
    sentence = "the candidate normalizes by moving statistics, the original by the batch's"
    yield subject.trial("train_eval_mode", sentence, edits)
  idle = [v for v in subject.unread if v.shape.rank == 1 and v.dtype.is_floating]
  for found, (mean, variance) in itertools.product(
    moments(program), itertools.permutations(idle, 2)
  ):
    edits = {ref.index: replace(_shaped(program, ref, mean)) for ref in found.means}
    edits[found.variance.index] = replace(_shaped(program, found.variance, variance))
    sentence = f"the candidate normalizes by the batch's statistics, the original by {mean.name}"
    yield subject.trial("train_eval_mode", sentence, edits)


def _shaped(program: Program, ref: Ref, variable: tf.Variable) -> tf.Tensor:
  return tf.reshape(variable, program.shape(ref))


def _stored(program: Program) -> Iterator[tuple[int, int, Ref]]:
  """(mean, variance, what is normalized): nodes of variables, one of them under a square root."""
  for root in program.of_type("Rsqrt", "Sqrt", "Pow"):
    above = program.ancestors(root.inputs[:1])
    below = program.descendants(root.index)
    for variance in above & program.variables.keys():
      shape = program.shape(Ref(variance))
      means = [i for i in program.variables if i != variance and i in program.live]
      for mean, ref in itertools.product(means, _normalized_by(program, below)):
        if program.shape(Ref(mean)) == shape == program.shape(ref)[-len(shape) :]:
          yield mean, variance, ref


def _normalized_by(program: Program, below: frozenset[int]) -> Iterator[Ref]:
  """What is multiplied with, or divided by, values that depend on a square root."""
  for index in below:
    node = program.nodes[index]
    if node.type in ("Mul", "RealDiv"):
      for ref in node.inputs:
        source = origin(program, ref, {"Sub"})
        if ref.index not in below and program.ancestors([source]) & set(program.arguments):
          yield source


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


USUAL_EPSILON = 1e-5
PROMISING = 0.05  # What the usual epsilon leaves of the error where a normalization is missing.


def missing(subject: Subject) -> Iterator[Trial]:
  """A normalization of what ends a layer or goes into one, with weights that nothing reads."""
  program = subject.program
  weights = list(_idle_weights(subject))
  for place in dict.fromkeys([*ends(program), *sources(program)]):
    shape = program.shape(place)
    inner = tuple(range(1, len(shape) - 1))
    kinds = {"each position's channels": (len(shape) - 1,), "each image's channels": inner}
    fitting = [pair for pair in weights if pair[0].shape[0] in (1, *shape[-1:])]
    for (what, over), pair in itertools.product(kinds.items(), fitting):
      edits = functools.partial(_with_norm, program, place, over, pair)
      if over and subject.error(subject.run(edits(USUAL_EPSILON))) < PROMISING * subject.before:
        eps = solve(subject, USUAL_EPSILON, edits) or USUAL_EPSILON
        sentence = f"the original normalizes {what} here (epsilon {name(eps)}), the candidate not"
        yield subject.trial("normalization_missing", sentence, edits(eps))


def _with_norm(
  program: Program,
  place: Ref,
  over: tuple[int, ...],
  weights: tuple[tf.Tensor, tf.Tensor],
  eps: float,
) -> Edits:
  function = functools.partial(_normalized, over=over, eps=eps, weights=weights)
  return {place.index: after(program, place, function)}


def _idle_weights(subject: Subject) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
  """(scale, offset): ones and zeros; pairs of vectors that belong together and that nothing
  reads."""
  yield tf.ones([1], tf.float64), tf.zeros([1], tf.float64)
  vectors = {key: array for key, array in subject.idle.items() if array.ndim == 1}
  for (one, scale), (two, offset) in itertools.permutations(vectors.items(), 2):
    if scale.shape == offset.shape and _owner(one) == _owner(two):
      yield tf.constant(scale), tf.constant(offset)


def _owner(key: str) -> str:
  return re.sub(r"[./]?[^./]*$", "", key)


def _normalized(
  x: tf.Tensor, over: tuple[int, ...], eps: float, weights: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
  mean, variance = tf.nn.moments(x, over, keepdims=True)
  scale, offset = (tf.cast(weight, x.dtype) for weight in weights)
  return (x - mean) * tf.math.rsqrt(variance + eps) * scale + offset
