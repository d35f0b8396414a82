"""Masks: inverted, or not applied."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.hypotheses.attention import score_places
from official.parity.diagnosis.hypotheses.wiring import ends
from official.parity.diagnosis.program.graphs import after
from official.parity.diagnosis.program.program import Edits, Function, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

FORBIDDEN = (-np.inf, -1e9, -100.0, -1e4)  # What people add to scores that must not count.


def polarity(subject: Subject) -> Iterator[Trial]:
  """Each yes-or-no value inverted: a bool, zeros and ones, or zeros and large negatives."""
  program = subject.program
  for node in program.nodes:
    if node.index not in program.live and node.index not in program.arguments:
      continue
    for output in range(len(node.op.outputs)):
      ref = Ref(node.index, output)
      inverse = _inverse(program, ref) if node.index not in program.variables else None
      if inverse is not None:
        edits = {ref.index: after(program, ref, inverse)}
        yield subject.trial("mask_polarity", "the original inverts this mask", edits)


def _inverse(program: Program, ref: Ref) -> Function | None:
  """The function that inverts a two-valued array; None where it is none."""
  value = program.value(ref)
  if value.dtype == tf.bool:
    return tf.logical_not if value.shape.rank else None
  if not value.dtype.is_floating or not value.shape.rank or value.shape.num_elements() < 2:
    return None
  kinds = np.unique(value.numpy())
  if len(kinds) == 1 and kinds[0] in (0.0, 1.0) and ref.index in program.constants:
    return None
  if len(kinds) > 2 or (len(kinds) == 1 and kinds[0] not in (0.0, 1.0)):
    return None
  if set(kinds) <= {0.0, 1.0}:
    return lambda x: 1 - x
  low, high = float(kinds[0]), float(kinds[1])
  return (lambda x: low - x) if high == 0.0 and low <= -50 else None


def missing(subject: Subject) -> Iterator[Trial]:
  """Masks that come in, or that the layer holds, or that windows need, put before softmaxes."""
  program = subject.program
  for place in score_places(program):
    shape = program.shape(place)
    for what, allowed in _masks(subject, shape):
      for forbidden in FORBIDDEN:
        added = np.where(allowed, 0.0, forbidden)
        sentence = f"the original masks scores with {what}, the candidate does not"
        edits = _added(program, place, added)
        yield subject.trial("mask_missing", sentence, edits)
  for place in ends(program):
    for what, allowed in _masks(subject, program.shape(place)):
      edits = {place.index: after(program, place, lambda x, m=allowed: x * m.astype(_dtype(x)))}
      sentence = f"the original multiplies by {what}, the candidate does not"
      yield subject.trial("mask_missing", sentence, edits)


def _dtype(x: tf.Tensor) -> Any:
  return x.dtype.as_numpy_dtype


def _added(program: Program, place: Ref, added: np.ndarray) -> Edits:
  return {place.index: after(program, place, lambda x: x + tf.constant(added, x.dtype))}


def extra(subject: Subject) -> Iterator[Trial]:
  """A mask left out: a sum, product or choice with a two-valued array."""
  program = subject.program
  for node in program.of_type("AddV2", "Add", "Mul", "SelectV2", "Sub"):
    for mask, data in itertools.permutations(node.inputs, 2):
      two = program.value(mask).dtype == tf.bool or _inverse(program, mask) is not None
      same = program.value(data).dtype.is_floating and program.shape(data) == program.shape(
        Ref(node.index)
      )
      if two and same:
        edits: Edits = {node.index: lambda inputs, look, data=data: [look(data)]}
        sentence = "the candidate applies a mask here, the original does not"
        yield subject.trial("mask_missing", sentence, edits)


def _masks(subject: Subject, shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
  """(description, which scores count) that fit scores of `shape`."""
  for what, array in _held(subject):
    bits = _bits(array)
    if bits is None:
      continue
    for fitted in _fitted(bits, shape):
      yield what, fitted
      yield f"the inverse of {what}", ~fitted
  if len(shape) >= 2 and shape[-1] == shape[-2]:
    yield "a causal mask", np.tril(np.ones(shape[-2:], bool))


def _held(subject: Subject) -> Iterator[tuple[str, np.ndarray]]:
  """Tensors that the call or the layer has."""
  program = subject.program
  for n, index in enumerate(program.arguments):
    yield f"its input {n}", program.array(Ref(index))
  for name, value in vars(subject.evidence.layer).items():
    if isinstance(value, np.ndarray) or (tf.is_tensor(value) and hasattr(value, "numpy")):
      yield f"its {name}", np.asarray(value)


def _bits(array: np.ndarray) -> np.ndarray | None:
  """True where a mask lets pass; None where the array is no mask."""
  if array.dtype == bool:
    return array
  kinds = np.unique(array)
  if array.ndim == 0 or len(kinds) != 2 or array.dtype.kind not in "fiu":
    return None
  return array == kinds[1]


def _fitted(bits: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
  """The mask with axes of length 1 put in so that it fits scores or outputs."""
  flat = [bits] + ([bits.reshape(len(bits), -1)] if bits.ndim > 2 else [])
  for mask in flat:
    if mask.ndim > len(shape):
      continue
    for places in itertools.combinations(range(len(shape)), mask.ndim):
      full = [1] * len(shape)
      for axis, size in zip(places, mask.shape, strict=True):
        full[axis] = size
      if all(f in (1, s) for f, s in zip(full, shape, strict=True)):
        yield mask.reshape(full)
