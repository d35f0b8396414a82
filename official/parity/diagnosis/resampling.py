"""Resizing inside a layer: recognized by its result, and done in every other way."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.graphs import is_float
from official.parity.diagnosis.program import Program, Ref
from official.parity.diagnosis.resizing import WAYS, Resize, cause, resize
from official.parity.diagnosis.subject import Subject, Trial

_ROUNDING = 1e-5  # TensorFlow's resizing computes in float32.
REACH = 24  # Operations between the image and its resized form.


def resized(subject: Subject) -> Iterator[Trial]:
  """Each resizing in all other ways; in its own too, which mends one in lower precision."""
  program = subject.program
  for source, result in _resizings(program):
    image, made = program.array(source), program.array(result)
    ways = {way: _resized(image, way, made) for way in WAYS}
    errors = {way: np.abs(array - made).max() for way, array in ways.items()}
    same = [way for way in WAYS if errors[way] <= _ROUNDING * np.abs(made).max()]
    if not same:
      continue
    for way, array in ways.items():
      what = "precision_lost" if way in same else _cause(same, way)
      sentence = f"the candidate resizes {same[0]}; the original {way}"
      tensor = tf.constant(array, program.value(result).dtype)
      edits = {result.index: lambda inputs, look, tensor=tensor: [tensor]}
      yield subject.trial(what, sentence, edits)


def _cause(same: list[Resize], way: Resize) -> str:
  """By the nearest of the ways that give the candidate's values: at some sizes several do."""
  causes = [cause(now, way) for now in same]
  for least in ("resize_antialias", "resize_coordinates"):
    if least in causes:
      return least
  return "resize_method"


def _resized(image: np.ndarray, way: Resize, made: np.ndarray) -> np.ndarray:
  return resize(image.astype(np.float64), way, *made.shape[1:3]).astype(made.dtype)


def _resizings(program: Program) -> Iterator[tuple[Ref, Ref]]:
  """Pairs of [b, h, w, c] values, one made of the other, that differ in height or width only."""
  for node in program.nodes:
    ref = Ref(node.index)
    if node.index not in program.live or not _is_image(program, ref):
      continue
    if any(
      _is_image(program, i) and _sizes(program, i) == _sizes(program, ref) for i in node.inputs
    ):
      continue
    for source in _images_before(program, ref):
      b, h, w, c = program.shape(source)
      made = program.shape(ref)
      if (b, c) == (made[0], made[3]) and (h, w) != made[1:3]:
        yield source, ref


def _is_image(program: Program, ref: Ref) -> bool:
  tensor = program.nodes[ref.index].op.outputs
  if not tensor or not is_float(program, ref) or tensor[ref.output].shape.rank != 4:
    return False
  return ref.index not in program.variables and program.nodes[ref.index].type != "ReadVariableOp"


def _sizes(program: Program, ref: Ref) -> tuple[int, ...]:
  return program.shape(ref)[1:3]


def _images_before(program: Program, ref: Ref) -> Iterator[Ref]:
  seen, level = set(), [ref]
  for _ in range(REACH):
    level = list(dict.fromkeys(i for at in level for i in program.nodes[at.index].inputs))
    for at in level:
      if at not in seen and _is_image(program, at):
        yield at
      seen.add(at)
