"""Which unit of the original is which of the candidate: by shapes, names and order together.

Shapes decide what is possible. Names, and the order among units of one shape, give a first
assignment; then each pair lends weight to the pairs around it (if most of `layer1.0` went to
`stage2/block1`, so does the rest), and units are assigned again.
"""

import dataclasses
import functools
import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import optimize

from official.checkpoints import advice
from official.checkpoints.units import Part, Unit

_ROUNDS = 6
_NAMES, _NUMBERS, _ORDER, _SURROUNDINGS, _NEIGHBOURS = 1.0, 0.15, 0.3, 2.0, 0.25
_IMPOSSIBLE = -1e3


@dataclasses.dataclass(frozen=True)
class Pair:
  """Two parts that are taken for the same.

  Attributes:
    source: the original's.
    target: the candidate's.
    transforms: all that fit, the likeliest first.
    lead: how much better the pair scores than the best other pair of either; inf: there is none.
    likeness: of the names, 0 to 1.
  """

  source: Part
  target: Part
  transforms: tuple[str, ...]
  lead: float
  likeness: float


def match(sources: Sequence[Unit], targets: Sequence[Unit]) -> list[Pair]:
  """The likeliest pairs, each source and each target in one at most; in the sources' order."""
  if not sources or not targets:
    return []
  share = np.array([[_share(one, other) for other in targets] for one in sources])
  likeness = _likeness(sources, targets)
  fixed = _NAMES * likeness + _NUMBERS * _numbers(sources, targets)
  fixed += _ORDER * _order(share > 0)
  score = _score(fixed, share)
  for _ in range(_ROUNDS):
    rows, columns = optimize.linear_sum_assignment(score, maximize=True)
    chosen = np.zeros_like(share)
    chosen[rows, columns] = share[rows, columns] > 0
    around = _SURROUNDINGS * _surroundings(sources, targets, chosen)
    score = _score(fixed + around + _NEIGHBOURS * _neighbours(chosen), share)
  rows, columns = optimize.linear_sum_assignment(score, maximize=True)
  pairs = []
  for row, column in zip(rows, columns, strict=True):
    if share[row, column] > 0:
      lead = _lead(score, share, row, column)
      pairs += _parts(sources[row], targets[column], lead, likeness[row, column])
  return _flattened(pairs)


def _score(likeness: np.ndarray, share: np.ndarray) -> np.ndarray:
  return np.where(share > 0, share * (1 + likeness), _IMPOSSIBLE)


def _lead(score: np.ndarray, share: np.ndarray, row: int, column: int) -> float:
  others = np.concatenate([np.delete(score[row], column), np.delete(score[:, column], row)])
  others = others[others > _IMPOSSIBLE]
  return float(score[row, column] - others.max()) if others.size else np.inf


def _parts(source: Unit, target: Unit, lead: float, likeness: float) -> list[Pair]:
  fitting = _fitting(source.signature, target.signature)
  return [
    Pair(source.parts[role], target.parts[role], transforms, lead, float(likeness))
    for role, transforms in fitting.items()
  ]


def _flattened(pairs: Sequence[Pair]) -> list[Pair]:
  """`pairs`, where a dense layer right after a convolution of fewer channels reads all pixels."""
  found, channels = [], 0
  for pair in pairs:
    shape = pair.source.parameter.shape
    side = math.isqrt(shape[1] // channels) if channels and len(shape) == 2 else 0
    if side > 1 and side**2 * channels == shape[1] and pair.transforms[0] == "linear":
      transforms = (f"linear_after_flatten:{side},{side}", *pair.transforms)
      pair = dataclasses.replace(pair, transforms=transforms)
    found.append(pair)
    if len(shape) > 1:
      channels = shape[0] if len(shape) > 2 else 0
  return found


def _share(source: Unit, target: Unit) -> float:
  """Share of the parts of two units that find each other; 0 where the weight finds none."""
  fitting = _fitting(source.signature, target.signature)
  both = "weight" in source.parts and "weight" in target.parts
  if both and "weight" not in fitting:
    return 0.0
  return 2 * len(fitting) / (len(source.parts) + len(target.parts))


@functools.cache
def _fitting(source: tuple, target: tuple) -> dict[str, tuple[str, ...]]:
  """Transforms by role, for the roles of both signatures whose shapes fit."""
  targets = {role: rest for role, *rest in target}
  found = {}
  for role, shape, layer, _ in source:
    if role not in targets:
      continue
    to_shape, to_layer, to_name = targets[role]
    transforms = _likeliest_first(
      advice.whole_transforms(shape, to_shape), f"{layer} {to_layer}", to_name
    )
    if transforms:
      found[role] = transforms
  return found


def _likeliest_first(transforms: Sequence[str], layers: str, target: str) -> tuple[str, ...]:
  """What multiplies its input is turned around; what is looked up or added is not."""
  multiplies = "kernel" in target or (
    re.search("Linear|Dense|Conv|Attention", layers) and "Embedding" not in layers
  )
  order = sorted(transforms, key=lambda text: (text == "identity") == bool(multiplies))
  if "Transpose" in layers:
    order = ["conv_transpose" if text == "conv" else text for text in order]
  return tuple(order)


def _likeness(sources: Sequence[Unit], targets: Sequence[Unit]) -> np.ndarray:
  """Cosine of the words of each two units, rare words counting more."""
  texts = [[word for word in unit.words if not word.isdigit()] for unit in [*sources, *targets]]
  occurrences = Counter(word for text in texts for word in set(text))
  index = {word: position for position, word in enumerate(occurrences)}
  vectors = np.zeros((len(texts), len(index) + 1))
  vectors[:, -1] = 1e-6  # No name is empty.
  for row, text in enumerate(texts):
    for word in text:
      vectors[row, index[word]] += np.log(1 + len(texts) / occurrences[word])
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  return vectors[: len(sources)] @ vectors[len(sources) :].T


def _numbers(sources: Sequence[Unit], targets: Sequence[Unit]) -> np.ndarray:
  """Share of the numbers in each two names that agree, counted from the end."""
  numbers = [
    [tuple(int(word) for word in reversed(unit.words) if word.isdigit()) for unit in units]
    for units in (sources, targets)
  ]
  return np.array([[_agreement(one, other) for other in numbers[1]] for one in numbers[0]])


@functools.cache
def _agreement(one: tuple[int, ...], other: tuple[int, ...]) -> float:
  longest = max(len(one), len(other))
  return sum(map(int.__eq__, one, other)) / longest if longest else 1.0


def _order(possible: np.ndarray) -> np.ndarray:
  """How near each two units are in the order of all that could take their place."""
  rows = _ranks(possible)
  columns = _ranks(possible.T)
  return 1 - np.abs(rows[:, None] - columns[None])


def _ranks(possible: np.ndarray) -> np.ndarray:
  """Position of each row, 0 to 1, among the rows with which it shares a column."""
  kin = (possible.astype(np.int32) @ possible.T.astype(np.int32)) > 0
  before = np.tril(kin, -1).sum(1)
  return before / np.maximum(kin.sum(1) - 1, 1)


def _surroundings(
  sources: Sequence[Unit], targets: Sequence[Unit], chosen: np.ndarray
) -> np.ndarray:
  """How many of the units around each two are `chosen` as pairs, at every level of the names."""
  (inside, depths), (outside, other_depths) = _prefixes(sources), _prefixes(targets)
  votes = inside.T @ chosen @ outside
  kinship = 2 * votes / (inside.sum(0)[:, None] + outside.sum(0)[None])
  forth = _best(inside * depths, kinship, outside)
  return (forth + _best(outside * other_depths, kinship.T, inside).T) / 2


def _best(rows: np.ndarray, kinship: np.ndarray, columns: np.ndarray) -> np.ndarray:
  """Mean over a row's prefixes of the kinship with the likest prefix of each column."""
  best = np.stack([(kinship * column).max(1) for column in columns], 1)
  return rows @ best / rows.sum(1, keepdims=True)


def _prefixes(units: Sequence[Unit]) -> tuple[np.ndarray, np.ndarray]:
  """[units, prefixes of their names]: whether a unit's name begins so; length of each prefix + 1.

  The name itself is no prefix, and the empty one always is.
  """
  index: dict[tuple[str, ...], int] = {}
  found = [
    [index.setdefault(unit.words[:end], len(index)) for end in range(max(len(unit.words), 1))]
    for unit in units
  ]
  table = np.zeros((len(units), len(index)))
  for row, prefixes in enumerate(found):
    table[row, prefixes] = 1
  return table, np.array([len(prefix) + 1 for prefix in index])


def _neighbours(chosen: np.ndarray) -> np.ndarray:
  """How many of the units before and behind each two are `chosen` as pairs."""
  padded = np.pad(chosen, 1)
  return padded[:-2, :-2] + padded[2:, 2:]
