"""How values are cut up, turned and moved: heads, groups, windows, height against width."""

import itertools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.graphs import after, is_float
from official.parity.diagnosis.program import Edit, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

MOST = 24  # Orders of one value's axes that are tried.


def has_attention(program: Program) -> bool:
  """Whether there is a softmax of products."""
  return bool(program.of_type("Softmax"))


def cut_order(subject: Subject) -> Iterator[Trial]:
  """One axis cut into several, or several joined into one, in another order (heads, groups)."""
  program = subject.program
  for node in program.of_type("Reshape"):
    ref = Ref(node.index)
    if not is_float(program, ref) or node.index in program.constants:
      continue
    before, now = program.shape(node.inputs[0]), program.shape(ref)
    for start, stop in _cut(before, now):
      for order in _orders(now[start:stop]):
        cause = _cut_cause(program, stop - start, stop == len(now))
        sentence = f"the original cuts this axis into {_sizes(now[start:stop], order)}"
        yield subject.trial(cause, sentence, {node.index: _cut_edit(now, start, order)})
    for start, stop in _cut(now, before):
      for order in _orders(before[start:stop]):
        turn = _turn(len(before), start, order)
        edit = lambda inputs, look, turn=turn, now=now: [  # noqa: E731
          tf.reshape(tf.transpose(inputs[0], turn), now)
        ]
        cause = _cut_cause(program, stop - start, stop == len(before))
        sentence = f"the original joins these axes as {_sizes(before[start:stop], order)}"
        yield subject.trial(cause, sentence, {node.index: edit})


def _cut_cause(program: Program, count: int, last: bool) -> str:
  if not last:
    return "axes_swapped"
  if has_attention(program):
    return "head_order"
  return "channels_permuted" if count == 2 else "axes_swapped"


def _cut(whole: tuple[int, ...], parts: tuple[int, ...]) -> Iterator[tuple[int, int]]:
  """Runs of axes in `parts` that one axis of `whole` was cut into, none of them 1 by itself."""
  at = 0
  for size in whole:
    start, product = at, 1
    while at < len(parts) and product < size:
      product *= parts[at]
      at += 1
    if product != size:
      return
    if sum(n > 1 for n in parts[start:at]) > 1:
      yield start, at
    elif size == 1 and at < len(parts) and parts[at] == 1:
      at += 1


def _orders(sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
  own = tuple(range(len(sizes)))
  return [order for order in itertools.permutations(own) if order != own][:MOST]


def _turn(rank: int, start: int, order: tuple[int, ...]) -> list[int]:
  axes = list(range(rank))
  axes[start : start + len(order)] = [start + n for n in order]
  return axes


def _cut_edit(now: tuple[int, ...], start: int, order: tuple[int, ...]) -> Edit:
  turn = _turn(len(now), start, order)
  turned = [now[axis] for axis in turn]
  back = [int(n) for n in np.argsort(turn)]
  return lambda inputs, look: [tf.transpose(tf.reshape(inputs[0], turned), back)]


def _sizes(sizes: tuple[int, ...], order: tuple[int, ...]) -> str:
  return " × ".join(str(sizes[n]) for n in order)


def axes_swapped(subject: Subject) -> Iterator[Trial]:
  """Other orders of axes in each transposition, and height against width of what flows."""
  program = subject.program
  for node in program.of_type("Transpose"):
    now = [int(n) for n in program.array(node.inputs[1])]
    for order in itertools.islice(itertools.permutations(range(len(now))), MOST):
      if list(order) != now:
        edit = lambda inputs, look, order=order: [tf.transpose(inputs[0], order)]  # noqa: E731
        sentence = f"the candidate transposes by {now}, the original by {list(order)}"
        yield subject.trial("axes_swapped", sentence, {node.index: edit})
  for ref in square(program):
    edits = {ref.index: after(program, ref, _swap_spatial)}
    sentence = "height and width are exchanged in the original"
    yield subject.trial("axes_swapped", sentence, edits)


def square(program: Program) -> Iterator[Ref]:
  """Float values whose rows are as many as their columns."""
  for node in program.nodes:
    constant = node.index in program.constants and node.type == "Const"
    if node.index not in program.live or constant or node.type in ("Identity", "ReadVariableOp"):
      continue
    if not node.op.outputs or not node.op.outputs[0].dtype.is_floating:
      continue
    shape = program.shape(Ref(node.index))
    rows, columns = _spatial(len(shape))
    if len(shape) > 1 and shape[rows] == shape[columns] > 1:
      yield Ref(node.index)


def _spatial(rank: int) -> tuple[int, int]:
  """Rows and columns of [b, h, w, c]; of anything else, the last two axes."""
  return (1, 2) if rank == 4 else (max(rank - 2, 0), rank - 1)


def _swap_spatial(x: tf.Tensor) -> tf.Tensor:
  axes = list(range(x.shape.rank))
  rows, columns = _spatial(len(axes))
  axes[rows], axes[columns] = axes[columns], axes[rows]
  return tf.transpose(x, axes)
