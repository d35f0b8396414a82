"""Training against inference, dropout, and precision."""

import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.program.execution import attributes, execute, run
from official.parity.diagnosis.program.program import Edits, Node, Program, Ref
from official.parity.diagnosis.program.tracing import trace
from official.parity.diagnosis.subject import Subject, Trial

_LOW = (tf.float32, tf.bfloat16, tf.float16)
_LOW_ENUMS = {dtype.as_datatype_enum for dtype in _LOW}


def other_mode(subject: Subject) -> Iterator[Trial]:
  """The whole layer in the other mode."""
  evidence = subject.evidence
  kwargs = {**evidence.kwargs}
  if "training" in kwargs:
    kwargs["training"] = not kwargs["training"]
  other = lambda: trace(  # noqa: E731
    evidence.layer, evidence.args, kwargs, not evidence.training
  ).run()
  words = ("training", "inference")
  now, then = words if evidence.training else words[::-1]
  cause = "dropout_active" if _random(subject.program) else "train_eval_mode"
  yield Trial(cause, f"the candidate runs as in {now}, the original as in {then}", other)


def _random(program: Program) -> frozenset[int]:
  """Live nodes that depend on random numbers."""
  found: set[int] = set()
  for node in program.nodes:
    if node.index in program.live and (
      "Random" in node.type or any(ref.index in found for ref in node.inputs)
    ):
      found.add(node.index)
  return frozenset(found)


def dropout(subject: Subject) -> Iterator[Trial]:
  """Every random choice of values left out, with the factor that goes with it."""
  program = subject.program
  random = _random(program)
  sites = {
    node.index: _kept(program, node, random)
    for node in program.of_type("SelectV2", "Mul")
    if _kept(program, node, random) is not None
  }
  if sites:
    edits: Edits = {
      index: lambda inputs, look, ref=ref: [look(ref)] for index, ref in sites.items()
    }
    sentence = "the candidate drops values at random, the original does not"
    yield subject.trial("dropout_active", sentence, edits)


def _kept(program: Program, node: Node, random: frozenset[int]) -> Ref | None:
  """What a node that takes in a random mask would pass on without it."""
  data = [ref for ref in node.inputs if ref.index not in random | program.constants]
  if len(data) != 1 or not any(ref.index in random for ref in node.inputs):
    return None
  scaled = program.nodes[data[0].index]
  if scaled.type in ("Mul", "RealDiv"):
    constant = [ref for ref in scaled.inputs if ref.index in program.constants]
    whole = [ref for ref in scaled.inputs if ref.index not in program.constants]
    if len(constant) == len(whole) == 1 and program.value(constant[0]).shape.rank == 0:
      return whole[0]
  return data[0]


def dropped_by_original(subject: Subject) -> Iterator[Trial]:
  """The original has zeros where the candidate has not, and all else by one factor."""
  made = {}
  for leaf, ours in subject.outputs.items():
    theirs = subject.reference[leaf]
    if ours.shape != theirs.shape or ours.size < 8:
      return
    kept = theirs != 0
    share = kept.mean()
    if not 0 < share < 1:
      return
    made[leaf] = ours * kept * float(np.median(theirs[kept] / ours[kept]))
  yield Trial("dropout_active", "the original drops values at random", lambda: made)


def precise(subject: Subject) -> Iterator[Trial]:
  """Everything in float64: casts to less left out, rounded constants restored."""
  if any(array.dtype != np.float64 for array in subject.outputs.values()):
    return
  sentence = "the candidate computes some of it below float64, the original all of it in float64"
  made = lambda: _promoted(subject.program)  # noqa: E731
  yield Trial("precision_lost", sentence, made, _first_low(subject.program))


def _first_low(program: Program) -> str:
  for node in program.nodes:
    low = node.op.outputs and node.op.outputs[0].dtype in _LOW
    if node.index in program.live and low:
      return program.line(node.index)
  return ""


def _promoted(program: Program) -> dict[str, tf.Tensor]:
  """The outputs, no value of which passed through less than float64."""
  made: dict[int, list[tf.Tensor]] = {}
  for index in sorted(program.live):
    node = program.nodes[index]
    if not node.inputs:
      made[index] = [_widened(program.value(Ref(index)), index in program.constants)]
    else:
      inputs = [made[ref.index][ref.output] for ref in node.inputs]
      made[index] = _promote(node, inputs)
  return {leaf: made[ref.index][ref.output] for leaf, ref in program.outputs.items()}


def _widened(value: tf.Tensor, constant: bool) -> tf.Tensor:
  if value.dtype not in _LOW:
    return value
  array = value.numpy().astype(np.float32)
  if constant and array.size <= 16:
    restored = [restore(number) for number in array.ravel()]
    return tf.constant(np.reshape(restored, array.shape), tf.float64)
  return tf.constant(array.astype(np.float64))


def restore(number: np.float32) -> float:
  """The number that was rounded to `number`: a root or π if one fits, else its short decimal."""
  for value in (math.pi, math.tau, math.sqrt(2), math.sqrt(2 / math.pi), math.sqrt(0.5)):
    if np.float32(value) == abs(number):
      return math.copysign(value, number)
  return float(str(number))


def _promote(node: Node, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
  if node.type == "LeakyRelu":
    slope = restore(np.float32(node.attr("alpha")))
    return [tf.where(inputs[0] > 0, inputs[0], slope * inputs[0])]
  attrs = attributes(node.op)
  changed = {
    name: tf.float64.as_datatype_enum for name, value in attrs.items() if _is_low(name, value, node)
  }
  if not changed:
    return execute(node.op, inputs)
  if node.type == "Cast" and inputs[0].dtype == tf.float64:
    return list(inputs[:1])
  return run(node.type, inputs, attrs | changed, len(node.op.outputs))


def _is_low(name: str, value: object, node: Node) -> bool:
  kinds = {attr.name for attr in node.op.op_def.attr if attr.type == "type"}
  return name in kinds and value in _LOW_ENUMS
