"""What to do about a parameter or a variable that does not transfer."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from official.checkpoints import transforms
from official.checkpoints.axes import Misfit, Shape
from official.checkpoints.rules import Ignore, Rule
from official.cli.errors import nearest

_MOST = 40  # Problems of a kind that get advice: a search of all names each.


class Adviser:
  """Words the problems of one assignment, each with what is nearest to right."""

  def __init__(
    self,
    rules: Sequence[Rule | Ignore],
    sources: Mapping[str, Shape],
    targets: Mapping[str, Shape],
  ) -> None:
    self._from = [rule.pattern if isinstance(rule, Ignore) else rule.source for rule in rules]
    self._to = [rule.target for rule in rules if isinstance(rule, Rule)]
    self._sources = sources
    self._targets = targets

  def unknown(self, rule: Rule, source: str, target: str) -> str:
    """A rule names a target that there is not."""
    hint = nearest(target, self._targets)
    return f"unknown: '{rule.source}' sends '{source}' to '{target}', which is no variable{hint}"

  def misfit(self, source: str, target: str, why: str) -> str:
    """The shapes of a pair do not fit by its transform, for the reason `why`."""
    shapes = self._sources[source], self._targets[target]
    fitting = fitting_transforms(*shapes)
    hint = f"; by its shape {_either(fitting)} would fit" if fitting else "; no transform fits"
    return f"misfit: '{source}' {list(shapes[0])} → '{target}' {list(shapes[1])}: {why}{hint}"

  def unused(self, names: Sequence[str], unfilled: Sequence[str]) -> Iterator[str]:
    """Sources that no rule matches."""
    for index, name in enumerate(names):
      text = f"unused: '{name}' {list(self._sources[name])} matches no rule"
      advised = index < _MOST
      yield text + (_nearest(name, self._from) + self._possible(name, unfilled) if advised else "")

  def unfilled(self, names: Sequence[str]) -> Iterator[str]:
    """Targets that nothing fills."""
    for index, name in enumerate(names):
      text = f"unfilled: no rule fills '{name}' {list(self._targets[name])}"
      yield text + (_nearest(name, self._to) if index < _MOST else "")

  def _possible(self, source: str, unfilled: Sequence[str]) -> str:
    """The unfilled target that is named most like `source`, of those that it would fit."""
    by_likeness = sorted(unfilled, key=lambda target: -_likeness(source, target))
    for target in by_likeness[:_MOST]:
      fitting = fitting_transforms(self._sources[source], self._targets[target])
      if fitting:
        return f"; it would fit unfilled '{target}' by {_either(fitting)}"
    return ""


def _nearest(name: str, patterns: Sequence[str]) -> str:
  found = difflib.get_close_matches(name, patterns, n=1, cutoff=0.6)
  return f"; the nearest rule is for '{found[0]}'" if found else ""


def fitting_transforms(source: Shape, target: Shape) -> list[str]:
  """Transforms that make `target` of `source`, the commonest first: for advice, never to choose."""
  return [text for text in dict.fromkeys(_worth_trying(target)) if _fits(text, source, target)]


def _fits(text: str, source: Shape, target: Shape) -> bool:
  try:
    transforms.parse(text).fit(source, target)
  except Misfit:
    return False
  return True


def _worth_trying(target: Shape) -> Iterator[str]:
  """Transforms of which one usually fits `target`, with the lengths that it suggests."""
  whole = ["identity", "conv", "linear", "depthwise", "linear_as_conv", "conv_as_linear"]
  if len(target) >= 2 and 0 not in target:
    heads = f"heads_out:{target[-2]}"
    whole += [f"depthwise:{target[-1]}", f"linear|{heads}", f"linear|heads_in:{target[0]}", heads]
    whole += [f"relative_table:{target[0]}"]
  yield from whole
  for of in (3, 2):
    for text in whole:
      yield f"qkv:0/{of}|{text}"
  for of in (3, 2):
    for text in whole:
      yield f"{text}|merge:0/{of}"


def _either(texts: Sequence[str]) -> str:
  return " or ".join(f"'{text}'" for text in texts[:3])


def _likeness(first: str, second: str) -> float:
  """Share of the words of two names that they have in common."""
  words = [set(re.findall(r"[a-z]+|\d+", name.lower())) for name in (first, second)]
  return len(words[0] & words[1]) / max(len(words[0] | words[1]), 1)
