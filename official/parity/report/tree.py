"""Findings of taps as a tree by module path."""

import dataclasses
import re
from collections.abc import Iterable, Iterator

from official.parity.keys import ROOT
from official.parity.report.digest import Shade, badness, worst_shade
from official.parity.result import Finding, Status

SECTIONS = ("output", "upstream")  # Of taps; everything else belongs to variables and terms.

# The path, then the call ("#1") and the output (":logits"); see `keys.tap_name`.
_NAME = re.compile(r"(?s)(.*?)((?:#\d+)?(?::.*)?)")


@dataclasses.dataclass
class Node:
  """A module, or one call or output of it.

  Attributes:
    label: the last part of its path.
    path: whole.
    findings: its own, by column.
    children: by label, in order of execution.
  """

  label: str
  path: str
  findings: dict[str, Finding] = dataclasses.field(default_factory=dict)
  children: dict[str, "Node"] = dataclasses.field(default_factory=dict)

  def below(self) -> Iterator[Finding]:
    """All findings of the node and of everything in it."""
    yield from self.findings.values()
    for child in self.children.values():
      yield from child.below()

  @property
  def shade(self) -> Shade:
    return worst_shade(self.below())

  @property
  def layer(self) -> str:
    return next((f.layer for f in self.findings.values() if f.layer), "")


def column(finding: Finding) -> str:
  """The column of the tree in which a tap's finding stands: "eval", "train", "upstream"."""
  return finding.phase if finding.section == "output" else finding.section


def build(findings: Iterable[Finding]) -> tuple[Node, list[str]]:
  """The tree of the candidate's taps, and its columns.

  Taps that only the original has are left out: they have no place in it.
  """
  root, columns = Node(ROOT, ROOT), []
  taps = (f for f in findings if f.section in SECTIONS and not _only_original(f))
  for finding in sorted(taps, key=lambda f: f.order):
    node, name = _node(root, finding.name), column(finding)
    columns += [name] if name not in columns else []
    known = node.findings.get(name)
    if known is None or badness(finding) > badness(known):
      node.findings[name] = finding
  return root, columns


def _only_original(finding: Finding) -> bool:
  """A finding without a pair has its one name in both places where it is the original's."""
  alone = finding.status in (Status.UNPAIRED, Status.EXCUSED)
  return alone and finding.name == finding.reference


def _node(root: Node, name: str) -> Node:
  path, suffix = _NAME.fullmatch(name).groups()
  parts = [] if path in ("", ROOT) else path.split("/")
  steps = [(part, "/".join(parts[: i + 1])) for i, part in enumerate(parts)]
  node = root
  for label, walked in [*steps, *([(suffix, name)] if suffix else [])]:
    node = node.children.setdefault(label, Node(label, walked))
  return node
