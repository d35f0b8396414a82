"""Which parameters rules would fill variables from: names and shapes, told backwards."""

from collections.abc import Mapping, Sequence

from official.checkpoints import patterns, transforms
from official.checkpoints.axes import Arrangement, Misfit, Shape
from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.steps import Arrange, Order, Piece
from official.checkpoints.transforms import Transform
from official.cli.errors import UserError


def parameters(rules: Sequence[Rule | Ignore], targets: Mapping[str, Shape]) -> dict[str, Shape]:
  """The original's parameters, by name, of a candidate with the variables `targets`.

  Variables that no rule fills have none; `transfer.plan` says which those are.

  Args:
    rules: whose sources have no field that their targets lack.
    targets: shape of each variable.

  Raises:
    UserError: a rule is not of this kind, or its transform cannot be undone from a shape alone.
  """
  found: dict[str, Shape] = {}
  for target, shape in targets.items():
    for rule in rules:
      fields = None if isinstance(rule, Ignore) else patterns.match(rule.target, target)
      if fields is not None:
        found.setdefault(patterns.fill(rule.source, fields), _source_of(rule, target, shape))
  return found


def _source_of(rule: Rule, target: str, shape: Shape) -> Shape:
  try:
    return source_shape(transforms.parse(rule.transform), shape)
  except Misfit as misfit:
    raise UserError(f"rule for '{rule.source}': '{target}' {list(shape)}: {misfit}") from misfit


def source_shape(transform: Transform, target: Shape) -> Shape:
  """The shape that `transform` makes `target` of.

  Raises:
    Misfit: there is none, or several.
  """
  shape = transform.merge.resolve(target).after if transform.merge else target
  for step in reversed((*transform.cuts, *transform.steps)):
    shape = _before(step, shape)
  return shape


def _before(step: Arrange | Order | Piece, shape: Shape) -> Shape:
  """The shape that `step` takes where it gives `shape`."""
  if isinstance(step, Arrange):
    forth = step.arrangement
    back = Arrangement(forth.text, forth.right, forth.left)
    if unknown := back.open_axes(step.sizes):
      raise Misfit(f"'{forth.text}' backwards leaves the lengths of {', '.join(unknown)} open")
    return back.resolve(shape, step.sizes).after
  if isinstance(step, Order):
    return shape
  taken = step.last + 1 - step.first
  if not -len(shape) <= step.axis < len(shape) or shape[step.axis] % taken:
    raise Misfit(f"axis {step.axis} of {list(shape)} is not {taken} equal pieces")
  sizes = list(shape)
  sizes[step.axis] = sizes[step.axis] // taken * step.of
  return tuple(sizes)
