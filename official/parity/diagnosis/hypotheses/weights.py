"""Weights: turned, mirrored, permuted, or in each other's place."""

import itertools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.hypotheses.wiring import ends
from official.parity.diagnosis.program.graphs import CONVOLUTIONS, PRODUCTS, after
from official.parity.diagnosis.program.program import Edits, Program, Ref, replace
from official.parity.diagnosis.subject import Subject, Trial

_PROJECTIONS = ("query", "key", "value", "q_", "k_", "v_", "qkv", "wq", "wk", "wv")


def values(program: Program) -> dict[int, np.ndarray]:
  """Float variables that are read, by node."""
  return {
    index: program.array(Ref(index))
    for index in program.variables
    if index in program.live and program.value(Ref(index)).dtype.is_floating
  }


def _trial(subject: Subject, cause: str, sentence: str, new: dict[int, np.ndarray]) -> Trial:
  edits: Edits = {index: replace(tf.constant(array)) for index, array in new.items()}
  return subject.trial(cause, sentence, edits)


def transposed(subject: Subject) -> Iterator[Trial]:
  """Axes of equal length exchanged."""
  for index, array in values(subject.program).items():
    for order in itertools.permutations(range(array.ndim)):
      turned = array.transpose(order)
      if turned.shape == array.shape and not np.array_equal(turned, array):
        sentence = f"{_name(subject, index)} {list(array.shape)}: the original's axes are {order}"
        yield _trial(subject, "kernel_transposed", sentence, {index: turned})


def flipped(subject: Subject) -> Iterator[Trial]:
  """Kernels mirrored along their rows, columns or both."""
  for index, array in values(subject.program).items():
    if array.ndim in (3, 4, 5):
      spatial = range(array.ndim - 2)
      for count in range(1, len(spatial) + 1):
        for axes in itertools.combinations(spatial, count):
          mirrored = np.flip(array, axes)
          if not np.array_equal(mirrored, array):
            sentence = f"{_name(subject, index)}: the original is mirrored along {axes}"
            yield _trial(subject, "kernel_flipped", sentence, {index: mirrored})


def permuted(subject: Subject) -> Iterator[Trial]:
  """Parts of a weight in another order along one of its axes."""
  attention = bool(subject.program.of_type("Softmax"))
  for index, array in values(subject.program).items():
    for axis, size in enumerate(array.shape):
      for cause, what, order in orders(size, attention):
        sentence = f"{_name(subject, index)}, axis {axis}: in the original {what}"
        yield _trial(subject, cause, sentence, {index: np.take(array, order, axis)})


def head_axes(subject: Subject) -> Iterator[Trial]:
  """Heads and their entries read in the other order, in weights that keep them as axes."""
  arrays = values(subject.program)
  groups = [(i,) for i in arrays] + _owners(subject.program) + [tuple(arrays)]
  for group in dict.fromkeys(groups):
    for rule in (_read_across, _written_across):
      new = {i: rule(arrays[i]) for i in group}
      new = {i: array for i, array in new.items() if array is not None}
      if new:
        names = ", ".join(_name(subject, i) for i in new)
        yield _trial(subject, "head_order", f"{names}: the original's heads run faster", new)


def _read_across(array: np.ndarray) -> np.ndarray | None:
  """[…, heads, d] or [heads, d, c] whose entries lay as [d, heads]."""
  if array.ndim not in (2, 3) or 1 in array.shape:
    return None
  return array.reshape(_other_shape(array)).swapaxes(*_head_axes(array))


def _written_across(array: np.ndarray) -> np.ndarray | None:
  if array.ndim not in (2, 3) or 1 in array.shape:
    return None
  return array.swapaxes(*_head_axes(array)).reshape(array.shape)


def _head_axes(array: np.ndarray) -> tuple[int, int]:
  """An output projection [heads, d, c] has its heads first; c is the product of both."""
  return (0, 1) if array.ndim == 3 and array.shape[2] == array[:, :, 0].size else (-2, -1)


def _other_shape(array: np.ndarray) -> list[int]:
  shape = list(array.shape)
  one, two = _head_axes(array)
  shape[one], shape[two] = shape[two], shape[one]
  return shape


def orders(size: int, attention: bool) -> Iterator[tuple[str, str, np.ndarray]]:
  """(cause, description, indices) of the ways in which `size` entries get mixed up."""
  own = np.arange(size)
  if size > 1:
    cause = "channels_reversed" if size == 3 else "channels_permuted"
    yield cause, "reversed", own[::-1]
  for parts in (2, 3, 4):
    if size % parts == 0 and size > parts:
      cause = "qkv_order" if parts == 3 and attention else "channels_permuted"
      blocks = own.reshape(parts, -1)
      for order in itertools.permutations(range(parts)):
        if order != tuple(range(parts)):
          yield cause, f"its {parts} parts in the order {order}", blocks[list(order)].ravel()
  for groups in range(2, size // 2 + 1):
    if size % groups == 0:
      cause = "head_order" if attention else "channels_permuted"
      yield cause, f"{groups} groups interleaved", own.reshape(groups, -1).T.ravel()
  yield from _fused(size, attention)


def _fused(size: int, attention: bool) -> Iterator[tuple[str, str, np.ndarray]]:
  """[3, heads, d] ↔ [heads, 3, d] and the like, for every number of heads."""
  if not attention or size % 3:
    return
  own = np.arange(size)
  for heads in range(2, size // 3 + 1):
    if (size // 3) % heads == 0:
      for shape in ((3, heads, -1), (heads, 3, -1), (heads, -1, 3), (3, -1, heads)):
        cube = own.reshape(shape)
        for turn in itertools.permutations(range(3)):
          if turn != (0, 1, 2):
            yield "head_order", f"{shape} turned by {turn}", cube.transpose(turn).ravel()


def swapped(subject: Subject) -> Iterator[Trial]:
  """Two weights of one shape, or all weights of two layers, in each other's place."""
  arrays = values(subject.program)
  for one, two in itertools.combinations(arrays, 2):
    if arrays[one].shape == arrays[two].shape and not np.array_equal(arrays[one], arrays[two]):
      yield _exchange(subject, {one: arrays[two], two: arrays[one]})
  for group, other in itertools.combinations(_owners(subject.program), 2):
    if [arrays[i].shape for i in group] == [arrays[i].shape for i in other] and len(group) > 1:
      forth = dict(zip(group, (arrays[i] for i in other), strict=True))
      yield _exchange(subject, forth | dict(zip(other, (arrays[i] for i in group), strict=True)))


def elsewhere(subject: Subject) -> Iterator[Trial]:
  """The weights of another layer of the model, of the same shapes, as those of each layer here."""
  arrays, everything = values(subject.program), subject.evidence.variables
  groups: dict[str, list[np.ndarray]] = {}
  for path, array in everything.items():
    groups.setdefault(path.rpartition("/")[0], []).append(array)
  here = _owners(subject.program) or [tuple(arrays)]
  for own, (path, others) in itertools.product(here, groups.items()):
    shapes = [arrays[i].shape for i in own]
    fitting = [a for shape in shapes for a in others if a.shape == shape]
    if len(fitting) == len(own) and not all(
      np.array_equal(arrays[i], a) for i, a in zip(own, fitting, strict=True)
    ):
      cause = (
        "qkv_order" if _projects(path) and _projects(subject.evidence.path) else "weights_swapped"
      )
      sentence = f"the original has here what the candidate has in {path}"
      yield _trial(subject, cause, sentence, dict(zip(own, fitting, strict=True)))


def _projects(path: str) -> bool:
  """Whether a layer's name is a query's, key's or value's."""
  last = path.lower().rpartition("/")[2]
  return any(part in last for part in _PROJECTIONS) or last in ("q", "k", "v")


def rotated(subject: Subject) -> Iterator[Trial]:
  """Three equal layers or weights, each in the next one's place."""
  arrays = values(subject.program)
  for groups in (_owners(subject.program), [(index,) for index in arrays]):
    for three in itertools.combinations(groups, 3):
      if len({tuple(arrays[i].shape for i in group) for group in three}) == 1:
        for turn in ((1, 2, 0), (2, 0, 1)):
          yield _exchange(
            subject,
            {
              i: arrays[j]
              for n, group in enumerate(three)
              for i, j in zip(group, three[turn[n]], strict=True)
            },
          )


def _owners(program: Program) -> list[tuple[int, ...]]:
  """Nodes of each layer's own variables."""
  by_id = {id(v): i for i, v in program.sources.items() if i in values(program)}
  layers = {id(call.layer): call.layer for call in program.calls}.values()
  groups = [tuple(by_id[id(v)] for v in layer.variables if id(v) in by_id) for layer in layers]
  return list(dict.fromkeys(group for group in groups if group))


def _exchange(subject: Subject, new: dict[int, np.ndarray]) -> Trial:
  names = [_name(subject, index) for index in new]
  projections = all(any(p in name.lower() for p in _PROJECTIONS) for name in names)
  cause = "qkv_order" if projections and len(names) > 1 else "weights_swapped"
  return _trial(subject, cause, f"the original has {', '.join(names)} in each other's place", new)


def _name(subject: Subject, index: int) -> str:
  return subject.program.variables[index].removesuffix(":0")


def bias(subject: Subject) -> Iterator[Trial]:
  """A vector that is added where the original adds none, or twice where it adds it once."""
  program = subject.program
  for node in program.of_type("BiasAdd", "AddV2", "Add", "Sub"):
    for slot, ref in enumerate(node.inputs):
      if _is_variable(program, ref):
        keep = node.inputs[1 - slot]
        sentence = f"the candidate adds {_vector(program, ref)} here, the original does not"
        edit = lambda inputs, look, keep=keep: [look(keep)]  # noqa: E731
        if program.shape(keep) == program.shape(Ref(node.index)):
          yield subject.trial("bias_extra", sentence, {node.index: edit})


def _is_variable(program: Program, ref: Ref) -> bool:
  node = program.nodes[ref.index]
  while node.type in ("ReadVariableOp", "Identity", "Cast", "Reshape") and node.inputs:
    node = program.nodes[node.inputs[0].index]
  return node.index in program.variables


def _vector(program: Program, ref: Ref) -> str:
  names = [n for i, n in program.variables.items() if i in program.ancestors([ref])]
  return (names[0] if names else "a vector").removesuffix(":0")


def bias_missing(subject: Subject) -> Iterator[Trial]:
  """A vector that nothing reads, or one of the original's, added to what a layer makes."""
  program = subject.program
  kinds = PRODUCTS | CONVOLUTIONS
  places = [*ends(program), *(Ref(node.index) for node in program.of_type(*kinds))]
  for name, vector in subject.idle.items():
    for place in dict.fromkeys(places):
      if vector.ndim and program.shape(place)[-vector.ndim :] == vector.shape:
        sentence = f"the original adds {name} here, the candidate does not"
        edits = {place.index: after(program, place, lambda x, v=vector: x + v)}
        yield subject.trial("bias_missing", sentence, edits)
