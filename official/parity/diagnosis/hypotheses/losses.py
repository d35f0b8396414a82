"""Losses: reductions, weights, formulas, targets; judged by terms and by their gradients."""

import functools
import itertools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.hypotheses.loss_subject import LossSubject, count, same
from official.parity.diagnosis.hypotheses.solving import name, solve
from official.parity.diagnosis.program.execution import Tensors, attributes, execute, run
from official.parity.diagnosis.program.graphs import Edge, after, is_data, scalar_edges, with_input
from official.parity.diagnosis.program.program import (
  Edits,
  Function,
  Look,
  Node,
  Program,
  Ref,
  replace,
)
from official.parity.diagnosis.subject import Trial


def reductions(subject: LossSubject) -> Iterator[Trial]:
  """A sum for a mean, a mean for a sum, a mean of what a mask lets pass."""
  program = subject.program
  for node in program.of_type("Mean", "Sum"):
    if not is_data(program, Ref(node.index)):
      continue
    other = "Sum" if node.type == "Mean" else "Mean"
    words = {"Sum": "sums", "Mean": "takes the mean"}
    sentence = f"the candidate {words[node.type]} here, the original {words[other]}"
    edit = functools.partial(_reduced, node, other)
    yield subject.trial("loss_reduction", sentence, {node.index: edit})
    product = program.nodes[node.inputs[0].index]
    for weight in product.inputs if product.type == "Mul" else ():
      edit = functools.partial(_weighted, node, weight)
      sentence = "the original divides by the sum of the weights, the candidate does not"
      yield subject.trial("loss_reduction", sentence, {node.index: edit})


def _reduced(node: Node, kind: str, inputs: Tensors, look: Look) -> Tensors:
  return run(kind, inputs, attributes(node.op))


def _weighted(node: Node, weight: Ref, inputs: Tensors, look: Look) -> Tensors:
  weights = tf.broadcast_to(look(weight), inputs[0].shape)
  above, below = (run("Sum", [x, inputs[1]], attributes(node.op))[0] for x in (inputs[0], weights))
  return [tf.math.divide_no_nan(above, below)]


def ratios_of_sums(subject: LossSubject) -> Iterator[Trial]:
  """Sums divided image by image against sums of all, and quotients that are plain means."""
  program = subject.program
  for node in program.of_type("RealDiv", "DivNoNan"):
    top, below = (program.nodes[ref.index] for ref in node.inputs)
    while below.type in ("Maximum", "AddV2", "Cast") and below.inputs:
      below = program.nodes[below.inputs[0].index]
    if top.type != "Sum" or not is_data(program, node.inputs[0]):
      continue
    sentence = "the original divides sums over everything, the candidate each by its own"
    edit = functools.partial(_of_all, node)
    yield subject.trial("loss_reduction", sentence, {node.index: edit})
    sentence = "the original takes the mean, the candidate divides by something else"
    edit = functools.partial(_plain_mean, top)
    yield subject.trial("loss_reduction", sentence, {node.index: edit})


def _of_all(node: Node, inputs: Tensors, look: Look) -> Tensors:
  whole = tf.reduce_sum(inputs[0]) / tf.reduce_sum(inputs[1])
  return [tf.broadcast_to(whole, tf.broadcast_static_shape(inputs[0].shape, inputs[1].shape))]


def _plain_mean(top: Node, inputs: Tensors, look: Look) -> Tensors:
  return run("Mean", [look(ref) for ref in top.inputs], attributes(top.op))


def constants(subject: LossSubject) -> Iterator[Trial]:
  """Every number: weights of terms, of classes, exponents, smoothing."""
  program = subject.program
  for edge, start in scalar_edges(program):
    edits = lambda number, edge=edge: {edge.node.index: with_input(edge, number)}  # noqa: E731
    found = solve(subject, start, edits)
    if found is not None and found != start:
      sentence = f"the candidate has {name(start)} here, the original {name(found)}"
      yield subject.trial(_constant_cause(subject, edge, start, found), sentence, edits(found))


def _constant_cause(subject: LossSubject, edge: Edge, start: float, found: float) -> str:
  if same(start, found):
    return "precision_lost"
  if edge.node.type == "SelectV2":
    return "no_object_weight"
  if edge.node.type not in ("Mul", "RealDiv", "Div", "DivNoNan"):
    return "loss_form"
  ratio = found / start if start else 0.0
  doubled = start != 1 and (same(ratio, 2.0) or same(ratio, 0.5))  # Too common a count to tell.
  return "loss_reduction" if ratio and not doubled and count(subject, ratio) else "loss_weight"


def class_weights(subject: LossSubject) -> Iterator[Trial]:
  """One value of a constant vector, or a number that such a vector is filled with."""
  program = subject.program
  for index in sorted(program.constants & program.live):
    node = program.nodes[index]
    if node.inputs or not node.op.outputs[0].dtype.is_floating:
      continue
    array = program.array(Ref(index))
    for value in np.unique(array)[:4] if array.ndim < 3 else ():
      edits = functools.partial(_with_value, index, array, float(value))
      found = solve(subject, float(value), edits)
      if found is not None and not same(found, float(value)):
        cause = "no_object_weight" if array.ndim or _fills(program, index) else "loss_weight"
        sentence = f"the candidate weighs with {name(float(value))}, the original {name(found)}"
        yield subject.trial(cause, sentence, edits(found))


def _with_value(index: int, array: np.ndarray, value: float, number: float) -> Edits:
  return {index: replace(tf.constant(np.where(array == value, number, array), array.dtype))}


def _fills(program: Program, index: int) -> bool:
  kinds = {"Fill", "Pack", "ConcatV2", "TensorScatterUpdate", "SelectV2", "OneHot", "PadV2"}
  return any(program.nodes[i].type in kinds for i, _ in program.consumers.get(Ref(index), ()))


def class_weights_missing(subject: LossSubject) -> Iterator[Trial]:
  """A weight of one class, by the integers that say which class it is."""
  program = subject.program
  classes = [
    Ref(n.index) for n in program.nodes if n.index in program.live and _is_class(program, n)
  ]
  for node in program.nodes:
    ref = Ref(node.index)
    if node.index not in program.live or not node.op.outputs or not is_data(program, ref):
      continue
    for target in classes:
      if program.shape(target) == program.shape(ref) and target.index < ref.index:
        values = program.array(target)
        for number in {int(values.max()), 0}:
          yield from _one_class(subject, ref, target, number)


def _is_class(program: Program, node: Node) -> bool:
  if not node.op.outputs or not node.op.outputs[0].dtype.is_integer:
    return False
  return len(program.shape(Ref(node.index))) > 0 and program.array(Ref(node.index)).max() > 0


def _one_class(subject: LossSubject, ref: Ref, target: Ref, number: int) -> Iterator[Trial]:
  def edits(weight: float) -> Edits:
    def edit(inputs: Tensors, look: Look) -> Tensors:
      made = execute(subject.program.nodes[ref.index].op, inputs)
      here = tf.equal(look(target), number)
      return [made[0] * tf.where(here, tf.constant(weight, made[0].dtype), 1), *made[1:]]

    return {ref.index: edit}

  found = solve(subject, 1.0, edits)
  if found is not None and found != 1.0:
    sentence = f"the original weighs class {number} with {name(found)}, the candidate does not"
    yield subject.trial("no_object_weight", sentence, edits(found))


_UNARY: dict[str, Function] = {
  "absolute values": tf.abs,
  "squares": tf.square,
  "smooth absolute values": lambda x: tf.where(tf.abs(x) < 1, x * x / 2, tf.abs(x) - 0.5),
  "no function": tf.identity,
}
_ELEMENTWISE = ("Square", "Abs", "Sqrt", "Log", "Log1p", "Exp", "Sigmoid", "Neg", "Relu", "Atan")


def forms(subject: LossSubject) -> Iterator[Trial]:
  """Other functions of differences, functions left out, one side of a sum or product left out."""
  program = subject.program
  for node in program.of_type(*_ELEMENTWISE, "SquaredDifference"):
    for what, function in _UNARY.items():
      edit = functools.partial(_functioned, node, function)
      sentence = f"the original takes {what} here, the candidate {node.type}"
      yield subject.trial("loss_form", sentence, {node.index: edit})
  for node in program.of_type("AddV2", "Sub", "Mul", "RealDiv", "DivNoNan", "Maximum", "Minimum"):
    for ref in node.inputs:
      if is_data(program, ref) and program.shape(ref) == program.shape(Ref(node.index)):
        edit = lambda inputs, look, ref=ref: [look(ref)]  # noqa: E731
        sentence = f"the original does without one side of this {node.type}"
        yield subject.trial("loss_form", sentence, {node.index: edit})
  for node in program.of_type("Maximum", "Minimum"):
    other = "Minimum" if node.type == "Maximum" else "Maximum"
    edit = functools.partial(_reduced, node, other)
    sentence = f"the original takes the {other.lower()}"
    yield subject.trial("loss_form", sentence, {node.index: edit})


def _functioned(node: Node, function: Function, inputs: Tensors, look: Look) -> Tensors:
  x = inputs[0] - inputs[1] if node.type == "SquaredDifference" else inputs[0]
  return [function(x)]


def inserted_forms(subject: LossSubject) -> Iterator[Trial]:
  """Functions that the original has on the way: of the inputs, of what is summed, smoothing."""
  program = subject.program
  wrappers = {"sigmoid": tf.sigmoid, "softmax": tf.nn.softmax, "log": tf.math.log}
  wrappers |= {"log softmax": tf.nn.log_softmax}
  for index in program.arguments[: subject._outputs]:
    ref = Ref(index)
    if program.value(ref).dtype.is_floating and len(program.shape(ref)):
      for what, function in wrappers.items():
        edits = {index: functools.partial(_wrapped, function)}
        yield subject.trial("loss_form", f"the original takes the {what} of this input", edits)
  for node in program.of_type("Sum", "Mean"):
    if is_data(program, Ref(node.index)):
      edit = functools.partial(_squared, node)
      yield subject.trial("loss_form", "the original sums squares here", {node.index: edit})
  for node in program.of_type("RealDiv", "DivNoNan"):
    for sides in ((0, 1), (1,), (0,)):
      edits = functools.partial(_smoothed, node, sides)
      found = solve(subject, 0.0, edits, 1.0)
      if found:
        sentence = f"the original adds {name(found)} to {len(sides)} side(s) of this quotient"
        yield subject.trial("loss_form", sentence, edits(found))


def _wrapped(function: Function, inputs: Tensors, look: Look) -> Tensors:
  return [function(inputs[0])]


def _squared(node: Node, inputs: Tensors, look: Look) -> Tensors:
  return execute(node.op, [tf.square(inputs[0]), *inputs[1:]])


def _smoothed(node: Node, sides: tuple[int, ...], number: float) -> Edits:
  def edit(inputs: Tensors, look: Look) -> Tensors:
    return execute(node.op, [x + number if n in sides else x for n, x in enumerate(inputs)])

  return {node.index: edit}


def factors(subject: LossSubject) -> Iterator[Trial]:
  """A factor on a term, or on what is added up to one."""
  program = subject.program
  places = [ref for node in program.of_type("AddV2", "AddN", "Pack") for ref in node.inputs]
  places += [
    Ref(node.index) for node in program.of_type("Sum", "Mean", "RealDiv", "DivNoNan", "Mul")
  ]
  places += list(program.outputs.values())
  for ref in dict.fromkeys(places):
    if not is_data(program, ref) or len(program.shape(ref)) > 1:
      continue
    edits = functools.partial(_multiplied, program, ref)
    found = solve(subject, 1.0, edits)
    if found is not None and found != 1.0:
      what = count(subject, found) if found else ""
      cause = "loss_reduction" if what else "loss_weight"
      sentence = f"the original multiplies by {name(found)} here" + (f" ({what})" if what else "")
      yield subject.trial(cause, sentence, edits(found))


def _multiplied(program: Program, ref: Ref, number: float) -> Edits:
  return {ref.index: after(program, ref, lambda x: x * number)}


def totals(subject: LossSubject) -> Iterator[Trial]:
  """One term more or less in another term, which is the total."""
  ends = subject.program.outputs
  for total, term in itertools.permutations(ends, 2):
    edits = functools.partial(_plus, subject.program, ends[total], ends[term])
    found = solve(subject, 0.0, edits, 1.0)
    if found:
      sentence = f"in the original {total} has {name(found)} times {term} more"
      yield subject.trial("loss_weight", sentence, edits(found))


def _plus(program: Program, total: Ref, term: Ref, number: float) -> Edits:
  def edit(inputs: Tensors, look: Look) -> Tensors:
    (made,) = execute(program.nodes[total.index].op, inputs)
    return [made + number * look(program.nodes[term.index].inputs[0])]

  return {total.index: edit}


def labels(subject: LossSubject) -> Iterator[Trial]:
  """Classes counted from another number, or in the reverse order, in what is predicted."""
  program = subject.program
  for index in program.arguments[: subject._outputs]:
    ref = Ref(index)
    if program.value(ref).dtype.is_floating and len(program.shape(ref)) > 1:
      for what, function in _TURNS.items():
        edits = {index: functools.partial(_wrapped, function)}
        sentence = f"the original's classes are {what}"
        yield subject.trial("channels_permuted", sentence, edits)


_TURNS: dict[str, Function] = {
  "one further": lambda x: tf.roll(x, 1, -1),
  "one back": lambda x: tf.roll(x, -1, -1),
  "reversed": lambda x: tf.reverse(x, [-1]),
}
