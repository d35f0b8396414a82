"""Resizing inside a layer: recognized by its result, and done in every other way."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.hypotheses.resizing import WAYS, Resize, cause, resize
from official.parity.diagnosis.program.graphs import is_float
from official.parity.diagnosis.program.program import Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

_ROUNDING = 1e-5  # TensorFlow's resizing computes in float32.
REACH = 24  # Operations between the image and its resized form.


def resized(subject: Subject) -> Iterator[Trial]:
  """Each resizing in all other ways; in its own too, which mends one in lower precision."""
  program = subject.program
  kept: dict[tuple[Ref, tuple[int, ...]], dict[Resize, np.ndarray]] = {}
  for source, result in _resizings(program):
    made = program.array(result)
    key = (source, made.shape)
    if key not in kept:
      kept[key] = {way: _resized(program.array(source), way, made.shape) for way in WAYS}
    largest = _ROUNDING * np.abs(made).max()
    same = [way for way, array in kept[key].items() if np.abs(array - made).max() <= largest]
    for way, array in kept[key].items() if same else ():
      cause_ = "precision_lost" if way in same else _cause(same, way)
      sentence = f"the candidate resizes {same[0]}; the original {way}"
      tensor = tf.constant(array, program.value(result).dtype)
      edits = {result.index: lambda inputs, look, tensor=tensor: [tensor]}
      yield subject.trial(cause_, sentence, edits)


def _cause(same: list[Resize], way: Resize) -> str:
  """By the nearest of the ways that give the candidate's values: at some sizes several do."""
  causes = [cause(now, way) for now in same]
  for least in ("resize_antialias", "resize_coordinates"):
    if least in causes:
      return least
  return "resize_method"


def _resized(image: np.ndarray, way: Resize, shape: tuple[int, ...]) -> np.ndarray:
  return resize(image.astype(np.float64), way, *shape[1:3])


def _resizings(program: Program) -> Iterator[tuple[Ref, Ref]]:
  """Pairs of [b, h, w, c] values, one made of the other, that differ in height or width only."""
  for node in program.nodes:
    ref = Ref(node.index)
    if node.index not in program.live or not _is_image(program, ref):
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


def _images_before(program: Program, ref: Ref) -> Iterator[Ref]:
  seen, level = set(), [ref]
  for _ in range(REACH):
    level = list(dict.fromkeys(i for at in level for i in program.nodes[at.index].inputs))
    for at in level:
      if at not in seen and _is_image(program, at):
        yield at
      seen.add(at)
