"""Strict transfer: each parameter of the original is used once, each variable filled once.

One plan carries whatever is shaped like the parameters, forth and back: the parameters themselves,
their gradients, optimizer slots, moving averages, parameters after k steps.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from official.checkpoints import assignment
from official.checkpoints.assignment import Move
from official.checkpoints.axes import Shape
from official.checkpoints.rules import Ignore, Rule
from official.cli.errors import UserError

Arrays = Mapping[str, np.ndarray]


class TransferError(UserError):
  """Parameters and variables do not correspond exactly.

  Attributes:
    problems: all of them, a line each, with what to do.
  """

  def __init__(self, what: str, problems: Sequence[str]) -> None:
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    super().__init__(f"{what}: {count}; the first: {problems[0]}")
    self.problems = list(problems)


def plan(
  rules: Sequence[Rule | Ignore],
  sources: Mapping[str, Sequence[int]],
  targets: Mapping[str, Sequence[int]],
) -> "Plan":
  """How `rules` carry the original's parameters into the candidate's variables.

  Args:
    rules: each parameter must match exactly one, or several that take different pieces of it. A
      rule that matches nothing is no error: what it would have left undone is one.
    sources: shape of each parameter of the original, buffers included.
    targets: shape of each variable of the candidate, buffers included.

  Raises:
    TransferError: a parameter is unused or used twice, a variable unfilled or filled twice, or a
      shape does not fit exactly. All problems are listed.
    UserError: a pattern or a transform is malformed.
  """
  sources = {name: tuple(map(int, shape)) for name, shape in sources.items()}
  targets = {name: tuple(map(int, shape)) for name, shape in targets.items()}
  found = assignment.assign(rules, sources, targets)
  if found.problems:
    raise TransferError("the weights do not transfer", found.problems)
  return Plan(tuple(found.moves), sources, targets, found.ignored)


@dataclasses.dataclass(frozen=True)
class Plan:
  """A complete correspondence; made by `plan`.

  Attributes:
    moves: from parameters to variables, in the order of the original's parameters.
    sources: shape of each parameter of the original.
    targets: shape of each variable of the candidate.
    ignored: parameters that go nowhere → why.
  """

  moves: tuple[Move, ...]
  sources: Mapping[str, Shape]
  targets: Mapping[str, Shape]
  ignored: Mapping[str, str]

  @property
  def pairs(self) -> dict[str, tuple[str, ...]]:
    """For each variable, in their order, the parameters that fill it."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(self.targets, ())
    for move in self.moves:
      found[move.target] += (move.source,)
    return found

  def rows(self) -> list[tuple[str, str, str, str]]:
    """(sources, target, transform, the target's shape) of each variable, for reports; then a row
    (source, "", "ignored: reason", its shape) for each parameter that goes nowhere."""
    transforms: dict[str, list[str]] = {name: [] for name in self.targets}
    for move in self.moves:
      transforms[move.target].append(move.transform.text or "identity")
    rows = [
      (", ".join(names), name, ", ".join(dict.fromkeys(transforms[name])), _shape(shape))
      for (name, names), shape in zip(self.pairs.items(), self.targets.values(), strict=True)
    ]
    ignored = self.ignored.items()
    return rows + [
      (name, "", f"ignored: {reason}", _shape(self.sources[name])) for name, reason in ignored
    ]

  def forward(self, arrays: Arrays, partial: bool = False) -> dict[str, np.ndarray]:
    """The candidate's arrays, made of the original's; fresh memory, the same dtypes.

    Args:
      arrays: by parameter, each of the parameter's shape; ignored ones may be among them.
      partial: whether parameters may be missing, as long as none is from one variable's several.

    Raises:
      TransferError: a name is unknown or missing, or a shape is another.
    """
    _check(arrays, self.sources, "parameter")
    given = {name: array for name, array in arrays.items() if name not in self.ignored}
    made: dict[str, np.ndarray] = {}
    for target, moves in self._grouped("target", given, "source", partial).items():
      pieces = [move.fit.forward(move.fit.taken(given[move.source])) for move in moves]
      made[target] = np.empty(self.targets[target], _dtype(target, pieces))
      for move, piece in zip(moves, pieces, strict=True):
        move.fit.placed(made[target])[...] = piece
    return made

  def backward(self, arrays: Arrays, partial: bool = False) -> dict[str, np.ndarray]:
    """The original's arrays, made of the candidate's: the inverse of `forward`.

    Args:
      arrays: by variable, each of the variable's shape.
      partial: whether variables may be missing, as long as none is from one parameter's several.

    Returns:
      arrays by parameter; those that are ignored are not among them.

    Raises:
      TransferError: a name is unknown or missing, or a shape is another.
    """
    _check(arrays, self.targets, "variable")
    made: dict[str, np.ndarray] = {}
    for source, moves in self._grouped("source", arrays, "target", partial).items():
      pieces = [move.fit.backward(move.fit.placed(arrays[move.target])) for move in moves]
      made[source] = np.empty(self.sources[source], _dtype(source, pieces))
      for move, piece in zip(moves, pieces, strict=True):
        move.fit.taken(made[source])[...] = piece
    return made

  def _grouped(self, made: str, arrays: Arrays, given: str, partial: bool) -> dict[str, list[Move]]:
    """Moves by what they make, for all that `arrays` suffice for.

    Args:
      made: the attribute of a move that names what is made.
      arrays: what there is.
      given: the attribute of a move that names what it needs.
      partial: whether some may be missing.
    """
    groups: dict[str, list[Move]] = {}
    for move in self.moves:
      groups.setdefault(getattr(move, made), []).append(move)
    missing = {
      name: [getattr(move, given) for move in moves if getattr(move, given) not in arrays]
      for name, moves in groups.items()
    }
    problems = [
      f"missing: {', '.join(repr(need) for need in needs)}, of which '{name}' is made"
      for name, needs in missing.items()
      if needs and not (partial and len(needs) == len(groups[name]))
    ]
    if problems:
      raise TransferError("the arrays are not complete", problems)
    return {name: moves for name, moves in groups.items() if not missing[name]}


def _check(arrays: Arrays, shapes: Mapping[str, Shape], what: str) -> None:
  problems = [f"there is no {what} '{name}'" for name in arrays if name not in shapes]
  problems += [
    f"'{name}' is {list(array.shape)}, not {list(shapes[name])}"
    for name, array in arrays.items()
    if name in shapes and tuple(array.shape) != shapes[name]
  ]
  if problems:
    raise TransferError("the arrays are not those of the plan", problems)


def _dtype(name: str, pieces: Sequence[np.ndarray]) -> np.dtype:
  dtypes = sorted({str(piece.dtype) for piece in pieces})
  if len(dtypes) > 1:
    raise TransferError(
      "the arrays do not fit together", [f"'{name}' would be made of {' and '.join(dtypes)}"]
    )
  return pieces[0].dtype


def _shape(shape: Shape) -> str:
  return " × ".join(map(str, shape)) or "scalar"
