"""A loss under examination, and the counts that losses are divided by."""

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.evidence import LayerEvidence, LossEvidence
from official.parity.diagnosis.program.execution import Tensors
from official.parity.diagnosis.program.program import (
  Edit,
  Edits,
  Look,
  Ref,
)
from official.parity.diagnosis.subject import Subject


class LossSubject(Subject):
  """A loss as a program: its terms, and their gradients under "<term>|<position>"."""

  def __init__(self, evidence: LossEvidence) -> None:
    judged = dict(evidence.terms) | dict(evidence.term_gradients)
    arguments = (evidence.outputs, dict(evidence.batch))
    super().__init__(
      LayerEvidence(evidence.function, "loss", arguments, {}, judged, True, evidence.limit)
    )
    self.reference = {key: np.asarray(array) for key, array in judged.items()}
    self.counts = dict(_counts(evidence))
    self._outputs = sum(tf.is_tensor(t) for t in tf.nest.flatten(evidence.outputs))

  def run(self, edits: Edits) -> Mapping[str, Any]:
    """Terms and gradients under `edits`."""
    program = self.program
    given = [program.value(Ref(i)) for i in program.arguments[: self._outputs]]
    wanted = [key for key in self.reference if "|" in key]
    with tf.GradientTape(persistent=len(wanted) > 1, watch_accessed_variables=False) as tape:
      watched = [tf.identity(value) for value in given]
      tape.watch([value for value in watched if value.dtype.is_floating])
      fed = {
        i: functools.partial(_fed, value, edits.get(i))
        for i, value in zip(program.arguments, watched, strict=False)
      }
      made = program.run({**edits, **fed})
    return made | {key: _gradient(tape, made, watched, key) for key in wanted}


def _fed(value: tf.Tensor, edit: Edit | None, inputs: Tensors, look: Look) -> Tensors:
  return edit([value], look) if edit else [value]


def _gradient(
  tape: tf.GradientTape, terms: Mapping[str, Any], outputs: list[tf.Tensor], key: str
) -> tf.Tensor:
  term, _, position = key.rpartition("|")
  source = outputs[int(position)]
  found = tape.gradient(terms[term], source)
  return tf.zeros_like(source) if found is None else tf.convert_to_tensor(found)


def _counts(evidence: LossEvidence) -> Iterator[tuple[str, float]]:
  """What people divide by: the given counts, then lengths of axes, sizes, sums of masks."""
  yield from evidence.counts.items()
  for tensor in tf.nest.flatten((evidence.outputs, dict(evidence.batch))):
    if not tf.is_tensor(tensor):
      continue
    for axis, size in enumerate(tensor.shape):
      yield f"axis {axis} of {list(tensor.shape)}", float(size)
    yield f"the elements of {list(tensor.shape)}", float(tensor.shape.num_elements())
    bits = np.asarray(tensor)
    if bits.dtype == bool or (bits.ndim and set(np.unique(bits)) <= {0, 1}):
      yield f"{_MASK} {list(tensor.shape)} lets pass", float(bits.sum())


_MASK = "what a mask"


def count(subject: LossSubject, ratio: float) -> str:
  """The count, or the ratio of two, that `ratio` is; empty where it is none."""
  for what, number in subject.counts.items():
    if number > 1 and (same(ratio, number) or same(1 / ratio, number)):
      return what
  for (one, a), (two, b) in itertools.combinations(subject.counts.items(), 2):
    if min(a, b) > 1 and (same(ratio, a * b) or same(1 / ratio, a * b)):
      return f"{one} times {two}"
    by_data = any(what.startswith(_MASK) for what in (one, two))
    if by_data and min(a, b) > 1 and (same(ratio, a / b) or same(1 / ratio, a / b)):
      return f"{one} over {two}"
  return ""


def same(a: float, b: float) -> bool:
  """Whether two fitted numbers are one."""
  return abs(a - b) <= 1e-6 * abs(b)
