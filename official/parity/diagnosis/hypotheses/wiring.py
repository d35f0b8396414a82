"""How values are connected: order of parts, residuals, layers left out, added or exchanged."""

import functools
import itertools
from collections.abc import Iterator

import tensorflow as tf

from official.parity.diagnosis.program.execution import Tensors, execute
from official.parity.diagnosis.program.graphs import is_data, is_float, make, order_cause
from official.parity.diagnosis.program.program import Edits, Look, Node, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

MANY = 4  # Of more parts only exchanges of two, rotations and the reversal are tried.
SPLITS = frozenset({"Split", "SplitV", "Unpack"})
JOINS = frozenset({"ConcatV2", "Pack"})


def concat_order(subject: Subject) -> Iterator[Trial]:
  """Parts joined in another order."""
  program = subject.program
  for node in program.of_type(*JOINS):
    count = len(node.inputs) - (node.type == "ConcatV2")
    if count < 2 or not is_float(program, Ref(node.index)):
      continue
    cause = order_cause(program, Ref(node.index), "concat_order")
    for order in orders(count):
      tail = list(range(count, len(node.inputs)))
      edit = lambda inputs, look, node=node, order=[*order, *tail]: execute(  # noqa: E731
        node.op, [inputs[i] for i in order]
      )
      sentence = f"the original joins the candidate's parts 0 … {count - 1} in the order {order}"
      yield subject.trial(cause, sentence, {node.index: edit})


def orders(count: int) -> Iterator[tuple[int, ...]]:
  """Orders other than the present one."""
  own = tuple(range(count))
  if count <= MANY:
    yield from (order for order in itertools.permutations(own) if order != own)
    return
  yield own[::-1]
  for first, second in itertools.combinations(own, 2):
    order = list(own)
    order[first], order[second] = second, first
    yield tuple(order)
  yield from (own[n:] + own[:n] for n in range(1, count))


def part_order(subject: Subject) -> Iterator[Trial]:
  """Parts of one value (halves, gates) taken in another order."""
  for parts in equal_parts(subject.program):
    cause = order_cause(subject.program, parts[0], "channels_permuted")
    yield from permuted(subject, parts, cause, "the parts")
  for node in subject.program.of_type("StridedSlice"):
    yield from _other_slices(subject, node)


def equal_parts(program: Program) -> Iterator[list[Ref]]:
  """Groups of parts of one value that have the same shape."""
  for node in program.of_type(*SPLITS):
    parts = [Ref(node.index, output) for output in range(len(node.op.outputs))]
    if len({program.shape(part) for part in parts}) == 1 and len(parts) > 1:
      yield parts
  groups: dict[tuple[Ref, tuple[int, ...]], list[Ref]] = {}
  for node in program.of_type("StridedSlice", "Slice", "GatherV2"):
    ref = Ref(node.index)
    if is_float(program, ref) and node.index not in program.constants:
      groups.setdefault((node.inputs[0], program.shape(ref)), []).append(ref)
  yield from (group for group in groups.values() if len(group) > 1)


def permuted(subject: Subject, parts: list[Ref], cause: str, what: str) -> Iterator[Trial]:
  """`parts` in every other order."""
  for order in orders(len(parts)):
    placed = dict(zip(parts, (parts[i] for i in order), strict=True))
    sentence = f"the original takes {what} in the order {order} of the candidate's"
    yield subject.trial(cause, sentence, exchanged(subject.program, placed))


def exchanged(program: Program, places: dict[Ref, Ref]) -> Edits:
  """Edits that put other outputs, which depend on none of these, in place of outputs."""
  return {
    index: functools.partial(_exchange, program, index, places)
    for index in {ref.index for ref in places}
  }


def _exchange(
  program: Program, index: int, places: dict[Ref, Ref], inputs: Tensors, look: Look
) -> Tensors:
  made = execute(program.nodes[index].op, inputs)
  for ref, other in places.items():
    if ref.index == index:
      node = program.nodes[other.index]
      made[ref.output] = execute(node.op, [look(i) for i in node.inputs])[other.output]
  return made


def _other_slices(subject: Subject, node: Node) -> Iterator[Trial]:
  """Another part of the same size of what a slice is taken from."""
  program = subject.program
  source, part = program.value(node.inputs[0]), program.value(Ref(node.index))
  if source.shape.rank != part.shape.rank or not is_float(program, node.inputs[0]):
    return
  for axis, (whole, size) in enumerate(zip(source.shape, part.shape, strict=True)):
    if size in (0, whole) or whole % size:
      continue
    for n, other in enumerate(tf.split(source, whole // size, axis)):
      if other.shape == part.shape:
        sentence = f"the original takes part {n} of {whole // size} along axis {axis}"
        edit = lambda inputs, look, n=n, count=whole // size, axis=axis: [  # noqa: E731
          tf.split(inputs[0], count, axis)[n]
        ]
        cause = order_cause(program, Ref(node.index), "channels_permuted")
        yield subject.trial(cause, sentence, {node.index: edit})


def residual(subject: Subject) -> Iterator[Trial]:
  """A sum without one of its terms, with one more, or with another one."""
  yield from _without_term(subject)
  yield from _with_term(subject)


def _without_term(subject: Subject) -> Iterator[Trial]:
  program = subject.program
  for node in program.of_type("AddV2", "Add", "AddN"):
    if len({program.shape(ref) for ref in node.inputs}) > 1 or len(node.inputs) < 2:
      continue
    if all(is_data(program, ref) for ref in node.inputs):
      for slot in range(len(node.inputs)):
        keep = [ref for n, ref in enumerate(node.inputs) if n != slot]
        edit = lambda inputs, look, keep=keep: [tf.add_n([look(ref) for ref in keep])]  # noqa: E731
        sentence = f"the candidate adds a term (input {slot}) that the original does not"
        yield subject.trial("residual_missing", sentence, {node.index: edit})


def _with_term(subject: Subject) -> Iterator[Trial]:
  """Adds what came in, or came out of a layer, to the ends of layers and of the whole."""
  program = subject.program
  for place in ends(program):
    before = program.ancestors([place])
    for term in sources(program):
      same = program.shape(term) == program.shape(place) and term != place
      if same and term.index in before | set(program.arguments):
        edits = {place.index: functools.partial(_plus, program, place, term)}
        sentence = "the original adds what went in before, the candidate does not"
        yield subject.trial("residual_missing", sentence, edits)


def _plus(program: Program, place: Ref, term: Ref, inputs: Tensors, look: Look) -> Tensors:
  made = make(program.nodes[place.index], inputs)
  made[place.output] = made[place.output] + look(term)
  return made


def other_term(subject: Subject) -> Iterator[Trial]:
  """A sum of something else."""
  program = subject.program
  for node in program.of_type("AddV2", "Add"):
    if not all(is_data(program, ref) for ref in node.inputs):
      continue
    for slot, now in enumerate(node.inputs):
      for term in flowing(program, node.index, program.shape(now)):
        if term not in node.inputs:
          edit = lambda inputs, look, slot=slot, term=term: [look(term) + inputs[1 - slot]]  # noqa: E731
          sentence = f"the original adds another value than the candidate (input {slot})"
          yield subject.trial("residual_missing", sentence, {node.index: edit})


def flowing(program: Program, index: int, shape: tuple[int, ...]) -> Iterator[Ref]:
  """Float values of this shape that are made before node `index` from the call's arguments."""
  for node in program.nodes[:index]:
    if node.index in program.live and node.type != "Identity":
      for output in range(len(node.op.outputs)):
        ref = Ref(node.index, output)
        if is_data(program, ref) and program.shape(ref) == shape:
          yield ref


def ends(program: Program) -> list[Ref]:
  """Where the call and the layers in it end."""
  found = [*program.outputs.values(), *(ref for call in program.calls for ref in call.outputs)]
  return [ref for ref in dict.fromkeys(found) if _usable(program, ref)]


def sources(program: Program) -> list[Ref]:
  """What comes in, goes into layers, and comes out of them."""
  found = [Ref(index) for index in program.arguments]
  found += [ref for call in program.calls for ref in (*call.inputs, *call.outputs)]
  return [ref for ref in dict.fromkeys(found) if _usable(program, ref)]


def _usable(program: Program, ref: Ref) -> bool:
  known = ref.index in program.live or ref.index in program.arguments
  return known and is_float(program, ref) and ref.index not in program.constants
