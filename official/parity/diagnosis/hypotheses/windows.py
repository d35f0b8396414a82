"""Shifted windows: cyclic shifts the other way, not at all, or left out of the candidate."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.program.execution import execute
from official.parity.diagnosis.program.graphs import after
from official.parity.diagnosis.program.program import Edit, Edits, Node, Program, Ref
from official.parity.diagnosis.subject import Subject, Trial

_FORBIDDEN = (-np.inf, -1e9, -100.0)


class Windows(NamedTuple):
  """An image [b, h, w, c] cut into windows of `side`² pixels, and put together again."""

  cut: Node
  joined: Node
  side: int
  rows: int
  columns: int


def shift(subject: Subject) -> Iterator[Trial]:
  """Each cyclic shift left out, the other way, or as another one; then all together."""
  program = subject.program
  nodes = program.of_type("Roll")
  amounts = {node.index: program.array(node.inputs[1]) for node in nodes}
  for node in nodes:
    others = [-amounts[n.index] for n in nodes if n is not node]
    for amount in [-amounts[node.index], 0 * amounts[node.index], *others]:
      if amount.shape == amounts[node.index].shape:
        sentence = (
          f"the candidate shifts by {_text(amounts[node.index])}, the original by {_text(amount)}"
        )
        yield subject.trial("window_shift", sentence, {node.index: _rolled(node, amount)})
  for word, factor in (("the other way", -1), ("not at all", 0)):
    edits = {node.index: _rolled(node, factor * amounts[node.index]) for node in nodes}
    if len(nodes) > 1:
      yield subject.trial("window_shift", f"the original shifts windows {word}", edits)


def _text(amount: np.ndarray) -> str:
  return str(amount.ravel().tolist())


def _rolled(node: Node, amount: np.ndarray) -> Edit:
  return lambda inputs, look: execute(node.op, [inputs[0], tf.constant(amount), inputs[2]])


def unshifted(subject: Subject) -> Iterator[Trial]:
  """Windows that the original shifts by half their side, with and without its mask."""
  program = subject.program
  for windows in _windows(program):
    for amount in {windows.side // 2, -(windows.side // 2)}:
      edits = _shifted(program, windows, amount)
      sentence = f"the original shifts windows by {amount}, the candidate does not"
      yield subject.trial("window_shift", sentence, edits)
      for masking in _masked(program, windows, abs(amount)):
        sentence = f"the original shifts windows by {amount} and masks, the candidate does not"
        yield subject.trial("window_shift", sentence, edits | masking, windows.cut.index)


def _windows(program: Program) -> Iterator[Windows]:
  reshapes = program.of_type("Reshape")
  for cut, joined in itertools.product(reshapes, reshapes):
    whole, parts = program.shape(cut.inputs[0]), program.shape(Ref(cut.index))
    apart, end = program.shape(joined.inputs[0]), program.shape(Ref(joined.index))
    if cut.index < joined.index and len(whole) == len(end) == 4 and len(parts) == len(apart) == 6:
      b, rows, one, columns, two, _ = parts
      if one == two and (b, rows * one, columns * one) == whole[:3] == end[:3]:
        yield Windows(cut, joined, one, whole[1], whole[2])


def _shifted(program: Program, windows: Windows, amount: int) -> Edits:
  def before(inputs: Sequence[tf.Tensor], look: object) -> list[tf.Tensor]:
    rolled = tf.roll(inputs[0], [-amount, -amount], [1, 2])
    return execute(windows.cut.op, [rolled, *inputs[1:]])

  def back(x: tf.Tensor) -> tf.Tensor:
    return tf.roll(x, [amount, amount], [1, 2])

  end = Ref(windows.joined.index)
  return {windows.cut.index: before, end.index: after(program, end, back)}


def _masked(program: Program, windows: Windows, amount: int) -> Iterator[Edits]:
  """Edits that add the mask of shifted windows to what goes into each softmax."""
  allowed = neighbours(windows.rows, windows.columns, windows.side, amount)
  for node in program.of_type("Softmax"):
    mask = fitted(allowed, program.shape(node.inputs[0]))
    if mask is not None:
      for forbidden in _FORBIDDEN:
        added = np.where(mask, 0.0, forbidden)
        yield {node.index: lambda inputs, look, added=added: [tf.nn.softmax(inputs[0] + added)]}


def neighbours(rows: int, columns: int, side: int, amount: int) -> np.ndarray:
  """Which pairs of a window's pixels were neighbours before the shift (Liu et al. 2021, fig. 4).

  Returns:
    [windows, side², side²] bool.
  """
  regions = np.zeros((rows, columns), int)
  bands = (slice(-side), slice(-side, -amount), slice(-amount, None))
  for n, (down, across) in enumerate(itertools.product(bands, bands)):
    regions[down, across] = n
  cut = regions.reshape(rows // side, side, columns // side, side).transpose(0, 2, 1, 3)
  flat = cut.reshape(-1, side * side)
  return flat[:, :, None] == flat[:, None, :]


def fitted(allowed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
  """[windows, n, n] for scores [b · windows, …, n, n]; None where they are no such scores."""
  if len(shape) < 3 or shape[-2:] != allowed.shape[1:] or math.prod(shape[:-2]) % len(allowed):
    return None
  if shape[0] % len(allowed):
    return None
  tiled = np.tile(allowed, (shape[0] // len(allowed), 1, 1))
  return tiled.reshape(shape[0], *(1,) * (len(shape) - 3), *shape[-2:])


def mask_missing(subject: Subject) -> Iterator[Trial]:
  """Windows that are shifted, but attend across the seam."""
  program = subject.program
  for windows, node in itertools.product(_windows(program), program.of_type("Roll")):
    amount = int(np.abs(program.array(node.inputs[1])).ravel()[0])
    if 0 < amount < windows.side:
      for edits in _masked(program, windows, amount):
        sentence = (
          "the original masks pixels that the shift brought together, the candidate does not"
        )
        yield subject.trial("mask_missing", sentence, edits)
