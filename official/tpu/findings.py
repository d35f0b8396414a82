"""What is wrong with a step, or costs: the operation, the layer, the line, the reason, the cure."""

import dataclasses
import enum
from collections.abc import Iterable


class Level(enum.StrEnum):
  """How bad a finding is."""

  ERROR = "error"  # It does not compile, or does not fit.
  WARNING = "warning"  # It may not compile, or costs much.
  NOTE = "note"  # It costs.


@dataclasses.dataclass(frozen=True)
class Finding:
  """One thing, wherever the same line makes it.

  Attributes:
    rule: its name, such as `dynamic-shape`.
    level: how bad it is.
    op: the operation's type.
    layer: the layer, of the first place.
    line: "file:line" of the Python that made it; empty where nobody knows.
    reason: one sentence.
    cure: what usually helps.
    count: how many operations of that line have it.
  """

  rule: str
  level: Level
  op: str
  layer: str
  line: str
  reason: str
  cure: str
  count: int = 1


def merged(findings: Iterable[Finding]) -> list[Finding]:
  """One for each rule, operation and line, the worst first; `count` tells how many there were."""
  groups: dict[tuple[str, ...], list[Finding]] = {}
  for finding in findings:
    place = finding.line or finding.layer
    groups.setdefault((finding.rule, finding.op, place), []).append(finding)
  order = list(Level)
  first = [
    dataclasses.replace(group[0], count=sum(each.count for each in group))
    for group in groups.values()
  ]
  return sorted(first, key=lambda finding: order.index(finding.level))
