"""What a planted defect is, and the ways to plant one."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tf_keras

from official.checkpoints import patterns
from official.checkpoints.rules import Ignore, Rule
from official.parity.case import ParityCase, Side
from official.parity.recorders.keras_names import layer_paths

Plant = Callable[[ParityCase], ParityCase]


@dataclasses.dataclass(frozen=True)
class Defect:
  """One mistake at one place.

  Attributes:
    name: of the mistake; the same at every depth.
    case: in which it is planted, a key of `cases.CASES`.
    layer: what must be blamed: the path of the layer whose code, attribute or weights are wrong; a
      loss's term; a variable; what a stage calls it otherwise.
    cause: what the diagnosis must put first, a key of `CAUSES`.
    plant: the case with the mistake in it.
    stage: where it must be caught.
  """

  name: str
  case: str
  layer: str
  cause: str
  plant: Plant
  stage: str = "forward"

  @property
  def title(self) -> str:
    """Unique in the catalogue."""
    return f"{self.name} at {self.case}:{self.layer}"


def at(
  name: str,
  cause: str,
  plant: Callable[[str], Plant],
  *places: tuple[str, str],
  stage: str = "forward",
) -> tuple[Defect, ...]:
  """The same mistake at several places, each a case and the layer to blame there.

  Args:
    name: of the mistake.
    cause: see `Defect`.
    plant: layer → how it is planted there.
    places: (case, layer).
    stage: see `Defect`.
  """
  return tuple(Defect(name, case, layer, cause, plant(layer), stage) for case, layer in places)


def on_side(change: Callable[[Side], Side]) -> Plant:
  """The candidate's side, made as always, then changed."""
  return lambda case: dataclasses.replace(
    case, candidate=lambda precision: change(case.candidate(precision))
  )


def on_layer(path: str, change: Callable[[tf_keras.layers.Layer], None]) -> Plant:
  """The layer at `path` of the finished network, changed in place."""

  def changed(side: Side) -> Side:
    change(layer_paths(side.network)[path])
    return side

  return on_side(changed)


def attributes(path: str, **values: Any) -> Plant:
  """Other values of a layer's attributes."""

  def change(layer: tf_keras.layers.Layer) -> None:
    for name, value in values.items():
      if not hasattr(layer, name):
        raise AttributeError(f"{path} has no attribute '{name}'")
      setattr(layer, name, value)

  return on_layer(path, change)


def written_as(path: str, layer_class: type[tf_keras.layers.Layer]) -> Plant:
  """The layer at `path` as if its class had been written as `layer_class`, a subclass of it."""

  def change(layer: tf_keras.layers.Layer) -> None:
    if not issubclass(layer_class, type(layer)):
      raise TypeError(f"{layer_class.__name__} is no {type(layer).__name__}")
    layer.__class__ = layer_class

  return on_layer(path, change)


def wrong(layer_class: type[tf_keras.layers.Layer]) -> Callable[[str], Plant]:
  """`written_as`, for `at`."""
  return lambda path: written_as(path, layer_class)


def setting(**values: Any) -> Callable[[str], Plant]:
  """`attributes`, for `at`."""
  return lambda path: attributes(path, **values)


def both(*plants: Plant) -> Plant:
  """Several changes that make one mistake."""

  def plant(case: ParityCase) -> ParityCase:
    for each in plants:
      case = each(case)
    return case

  return plant


def weight_rules(
  change: Callable[[dict[str, Rule | Ignore]], Mapping[str, Rule | Ignore]],
) -> Plant:
  """Other rules: `change` is given a rule for each of the original's parameters, by name."""

  def plant(case: ParityCase) -> ParityCase:
    network = case.reference("float64", 0).network
    names = [name for name, _ in (*network.named_parameters(), *network.named_buffers())]
    single = {name: rule for name in names if (rule := _single(case.weights, name))}
    return dataclasses.replace(case, weights=tuple(change(single).values()))

  return plant


def transform(source: str, text: str) -> Plant:
  """Another transform for one parameter."""

  def change(rules: dict[str, Rule | Ignore]) -> dict[str, Rule | Ignore]:
    return rules | {source: Rule(source, rules[source].target, text)}

  return weight_rules(change)


def exchanged(*pairs: tuple[str, str]) -> Plant:
  """Two parameters, each in the other's place."""

  def change(rules: dict[str, Rule | Ignore]) -> dict[str, Rule | Ignore]:
    for one, other in pairs:
      targets = rules[one].target, rules[other].target
      rules[one] = Rule(one, targets[1], rules[one].transform)
      rules[other] = Rule(other, targets[0], rules[other].transform)
    return rules

  return weight_rules(change)


def _single(rules: tuple[Rule | Ignore, ...], name: str) -> Rule | Ignore | None:
  """The rule for one parameter, with nothing left open."""
  for rule in rules:
    pattern = rule.pattern if isinstance(rule, Ignore) else rule.source
    fields = patterns.match(pattern, name)
    if fields is not None:
      if isinstance(rule, Ignore):
        return Ignore(name, rule.reason)
      return Rule(name, patterns.fill(rule.target, fields), rule.transform)
  return None
