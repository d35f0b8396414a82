"""Convolutions: padding, strides and dilations, whether in attributes or in operations before."""

import itertools
from collections.abc import Iterator, Sequence

import tensorflow as tf

from official.parity.diagnosis.program.execution import Tensors, attributes, run
from official.parity.diagnosis.program.graphs import consumers
from official.parity.diagnosis.program.program import Edit, Look, Node, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

FORWARD = ("Conv2D", "DepthwiseConv2dNative")
POOLS = frozenset({"MaxPool", "AvgPool", "MaxPoolV2"})
Pads = tuple[tuple[int, int], tuple[int, int]]
Margins = list[tuple[int, int]]


def padding(subject: Subject) -> Iterator[Trial]:
  """Zeros on other sides of a convolution's input."""
  program = subject.program
  for node in program.of_type(*FORWARD):
    now = current_pads(program, node)
    for pads in _other_pads(program, node, now):
      sentence = f"the candidate pads {_sides(now)}, the original {_sides(pads)}"
      yield subject.trial("padding", sentence, {node.index: _convolve(node, pads)})


def pad_operations(subject: Subject) -> Iterator[Trial]:
  """Other sides, or another kind of margin, where an operation of its own pads."""
  program = subject.program
  for node in program.of_type("Pad", "PadV2", "MirrorPad"):
    now = [tuple(int(n) for n in row) for row in program.array(node.inputs[1])]
    pools = any(consumer.type in POOLS for consumer in consumers(program, node.index))
    for pads in _shifted(now):
      sentence = f"the candidate pads {_sides(now[1:-1])}, the original {_sides(pads[1:-1])}"
      yield subject.trial("padding", sentence, {node.index: _pad(pads)})
    lowest = program.nodes[node.index].op.outputs[0].dtype.min
    for value, word in ((0.0, "0"), (lowest, "nothing (−∞)")):
      sentence = f"the original pads with {word}"
      cause = "pool_padding" if pools else "padding"
      yield subject.trial(cause, sentence, {node.index: _pad(now, value=value)})
    # In a maximum, mirrored pixels count for nothing.
    for mode in () if pools else ("CONSTANT", "REFLECT", "SYMMETRIC"):
      sentence = f"the original pads by the rule {mode.lower()}"
      yield subject.trial("padding", sentence, {node.index: _pad(now, mode)})


def stride_or_dilation(subject: Subject) -> Iterator[Trial]:
  """Other strides or dilations, with the padding that keeps the original's output size."""
  program = subject.program
  for node in program.of_type(*FORWARD):
    now = (node.attr("strides")[1], node.attr("dilations")[1])
    kernel = program.shape(node.inputs[1])[:2]
    for stride, dilation in itertools.product((1, 2, 4), (1, 2, 3, 4, 6)):
      if (stride, dilation) == now:
        continue
      sentence = (
        f"the candidate has stride {now[0]} and dilation {now[1]}, "
        f"the original {stride} and {dilation}"
      )
      half = [dilation * (size - 1) // 2 for size in kernel]
      for pads in {tuple((n, n) for n in half), ((0, 0), (0, 0))}:
        edit = _convolve(node, pads, stride, dilation)
        yield subject.trial("stride_or_dilation", sentence, {node.index: edit})


def window(program: Program, node: Node) -> tuple[int, int]:
  """Rows and columns under a convolution's or pooling's window, holes included."""
  if node.type in FORWARD:
    rows, columns = program.shape(node.inputs[1])[:2]
    _, d_rows, d_columns, _ = node.attr("dilations")
    return (rows - 1) * d_rows + 1, (columns - 1) * d_columns + 1
  return tuple(node.attr("ksize")[1:3])


def current_pads(program: Program, node: Node) -> Pads:
  """The margins that the node's own attributes make."""
  kind = node.attr("padding")
  if kind == b"EXPLICIT":
    flat = node.attr("explicit_paddings")
    return tuple(flat[2:4]), tuple(flat[4:6])
  if kind == b"VALID":
    return (0, 0), (0, 0)
  return tuple(_same(*sizes) for sizes in _sizes(program, node))


def _sizes(program: Program, node: Node) -> Iterator[tuple[int, int, int, int]]:
  """(input, output, window, stride) along rows, then columns."""
  source, result = program.shape(node.inputs[0]), program.shape(Ref(node.index))
  extents, strides = window(program, node), node.attr("strides")
  for axis in (1, 2):
    yield source[axis], result[axis], extents[axis - 1], strides[axis]


def _same(size: int, made: int, extent: int, stride: int) -> tuple[int, int]:
  total = max((made - 1) * stride + extent - size, 0)
  return total // 2, total - total // 2


def _other_pads(program: Program, node: Node, now: Pads) -> Iterator[Pads]:
  """Margins that give the same output size, nearest to symmetric first; then other sizes."""
  axes = [_fits(*sizes) for sizes in _sizes(program, node)]
  options = [(a, b) for a in axes[0] for b in axes[1]]
  extents = window(program, node)
  symmetric = tuple((n // 2, n // 2) for n in extents)
  full = tuple((n - 1, n - 1) for n in extents)
  options += [symmetric, ((0, 0), (0, 0)), full]
  for pads in sorted(set(options), key=lambda p: p[0] != p[1]):
    if pads != now:
      yield pads


def _fits(size: int, made: int, extent: int, stride: int) -> list[tuple[int, int]]:
  """Margins (before, after) for which `made` windows fit."""
  needed = (made - 1) * stride + extent
  return [
    (before, max(needed - size - before, 0))
    for before in range(extent)
    if size + before < needed + stride
  ]


def _convolve(node: Node, pads: Pads, stride: int = 0, dilation: int = 0) -> Edit:
  attrs = attributes(node.op) | {"padding": b"VALID", "explicit_paddings": []}
  if stride:
    attrs |= {"strides": [1, stride, stride, 1], "dilations": [1, 1, 1, 1]}

  def edit(inputs: Tensors, look: Look) -> Tensors:
    kernel = _spread(inputs[1], dilation) if dilation else inputs[1]
    return run(node.type, [tf.pad(inputs[0], [(0, 0), *pads, (0, 0)]), kernel], attrs)

  return edit


def _spread(kernel: tf.Tensor, dilation: int) -> tf.Tensor:
  """The kernel with zeros between its rows and columns: not every kernel of TensorFlow dilates."""
  rows, columns, *channels = kernel.shape
  spread = tf.reshape(kernel, [rows, 1, columns, 1, *channels])
  gaps = [[0, 0], [0, dilation - 1], [0, 0], [0, dilation - 1], [0, 0], [0, 0]]
  spread = tf.reshape(tf.pad(spread, gaps), [rows * dilation, columns * dilation, *channels])
  return spread[: (rows - 1) * dilation + 1, : (columns - 1) * dilation + 1]


def _pad(pads: Margins, mode: str = "CONSTANT", value: float = 0.0) -> Edit:
  return lambda inputs, look: [tf.pad(inputs[0], pads, mode, value)]


def _shifted(now: Margins) -> Iterator[Margins]:
  """The same margins on other sides, then none, then the larger on both."""
  yield [row[::-1] for row in now]
  yield [(sum(row) // 2, sum(row) - sum(row) // 2) for row in now]
  yield [(sum(row), 0) for row in now]
  yield [(0, sum(row)) for row in now]
  yield [(max(row), max(row)) for row in now]
  yield [(0, 0) for _ in now]
  for axis in range(len(now) - 1):  # Margins on the wrong axes.
    swapped = list(now)
    swapped[axis], swapped[axis + 1] = now[axis + 1], now[axis]
    yield swapped


def _sides(pads: Sequence[tuple[int, int]]) -> str:
  return " × ".join(f"{before}+{after}" for before, after in pads)
