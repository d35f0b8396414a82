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
  whole = list(_worth_trying(source, target))
  pieces = [f"qkv:0/{of}|{text}" for of in (3, 2) for text in whole]
  merges = [f"{text}|merge:0/{of}" for of in (3, 2) for text in whole]
  return [text for text in (*whole, *pieces, *merges) if _fits(text, source, target)]


def whole_transforms(source: Shape, target: Shape) -> list[str]:
  """Those of all of `source` into all of `target`."""
  return [text for text in _worth_trying(source, target) if _fits(text, source, target)]


def _fits(text: str, source: Shape, target: Shape) -> bool:
  try:
    transforms.parse(text).fit(source, target)
  except Misfit:
    return False
  return True


def _worth_trying(source: Shape, target: Shape) -> dict[str, None]:
  """Transforms of which one usually fits, with the lengths that `target` suggests."""
  texts = ["identity", "conv", "linear", "depthwise", "linear_as_conv", "conv_as_linear"]
  if len(target) >= 2 and 0 not in target:
    heads = f"heads_out:{target[-2]}"
    texts += [f"depthwise:{target[-1]}", f"linear|{heads}", f"linear|heads_in:{target[0]}", heads]
    texts += [f"relative_table:{target[0]}"]
  if len(source) != len(target):
    texts.append(_ones(source, target))
  return dict.fromkeys(texts)


def _ones(source: Shape, target: Shape) -> str:
  """The arrangement that only drops or adds axes of length 1, if there is one."""
  sides = []
  for shape in (source, target):
    letters = iter("abcdefghijklmnop")
    sides.append(" ".join("1" if size == 1 else next(letters) for size in shape))
  long = [[size for size in shape if size > 1] for shape in (source, target)]
  return " -> ".join(sides) if long[0] == long[1] else "identity"


def _either(texts: Sequence[str]) -> str:
  return " or ".join(f"'{text}'" for text in texts[:3])


def _likeness(first: str, second: str) -> float:
  """Share of the words of two names that they have in common."""
  words = [set(re.findall(r"[a-z]+|\d+", name.lower())) for name in (first, second)]
  return len(words[0] & words[1]) / max(len(words[0] | words[1]), 1)
