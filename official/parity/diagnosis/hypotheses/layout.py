"""How values are cut up, turned and moved: heads, groups, windows, height against width."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.program.graphs import after, is_float, order_cause
from official.parity.diagnosis.program.program import Edit, Node, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

MOST = 24  # Orders of one value's axes that are tried.


def has_attention(program: Program) -> bool:
  """Whether there is a softmax of products."""
  return bool(program.of_type("Softmax"))


def cut_order(subject: Subject) -> Iterator[Trial]:
  """One axis cut into several, or several joined into one, in another order (heads, groups): each
  by itself, all of the same sizes, all together."""
  program = subject.program
  sites = list(_sites(program))
  for site in sites:
    yield _recut(subject, [site])
  turns = {(site.sizes, site.order): [] for site in sites}
  for site in sites:
    turns[site.sizes, site.order].append(site)
  both = {}
  for (sizes, order), alike in turns.items():
    if len(alike) > 1:
      yield _recut(subject, alike)
    both.setdefault((frozenset(sizes), len(order)), []).extend(alike)
  for alike in both.values():  # Cut as [heads, d] and joined as [d, heads], say.
    if len({site.node.index for site in alike}) == len(alike) > 2:
      yield _recut(subject, alike)


class Site(NamedTuple):
  """A reshape that cuts an axis into `sizes`, or joins them, and another `order` of these."""

  node: Node
  sizes: tuple[int, ...]
  order: tuple[int, ...]
  edit: Edit
  cause: str
  word: str


def _sites(program: Program) -> Iterator[Site]:
  for node in program.of_type("Reshape"):
    ref = Ref(node.index)
    if not is_float(program, ref) or node.index in program.constants:
      continue
    before, now = program.shape(node.inputs[0]), program.shape(ref)
    for start, stop in _cut(before, now):
      cause = _cut_cause(program, node, stop - start, stop == len(now))
      for order in _orders(now[start:stop]):
        edit = _cut_edit(now, start, order)
        yield Site(node, now[start:stop], order, edit, cause, "cuts an axis into")
    for start, stop in _cut(now, before):
      cause = _cut_cause(program, node, stop - start, stop == len(before))
      for order in _orders(before[start:stop]):
        edit = _turned(_turn(len(before), start, order), now)
        yield Site(node, before[start:stop], order, edit, cause, "joins axes as")


def _turned(turn: Sequence[int], shape: tuple[int, ...]) -> Edit:
  return lambda inputs, look: [tf.reshape(tf.transpose(inputs[0], turn), shape)]


def _recut(subject: Subject, sites: list[Site]) -> Trial:
  edits = {site.node.index: site.edit for site in sites}
  sentence = f"the original {sites[0].word} {_sizes(sites[0].sizes, sites[0].order)}"
  return subject.trial(sites[0].cause, sentence, edits)


def joined_unturned(subject: Subject) -> Iterator[Trial]:
  """Axes brought into another order before they are joined or cut."""
  program = subject.program
  for node in program.of_type("Reshape"):
    before, now = program.shape(node.inputs[0]), program.shape(Ref(node.index))
    if is_float(program, Ref(node.index)) and node.index not in program.constants:
      cause = "head_order" if has_attention(program) else "axes_swapped"
      for order in itertools.islice(itertools.permutations(range(len(before))), 1, MOST):
        sentence = f"the original transposes by {list(order)} before it reshapes here"
        yield subject.trial(cause, sentence, {node.index: _turned(order, now)})


def _cut_cause(program: Program, node: Node, count: int, last: bool) -> str:
  if not last:
    return "axes_swapped"
  if has_attention(program):
    return "head_order"
  other = "channels_permuted" if count == 2 else "axes_swapped"
  return order_cause(program, Ref(node.index), other)


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
