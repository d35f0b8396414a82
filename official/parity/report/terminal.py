"""A result on the terminal: coloured there, plain text elsewhere."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from official.cli.table import print_table
from official.parity.report import digest, tree
from official.parity.report.digest import Shade, engineering, headline, printable
from official.parity.result import Finding, Result, Stage, Status

_COLOURS = {
  Shade.SAME: "green",
  Shade.EXCUSED: "dim",
  Shade.NEAR_TIE: "cyan",
  Shade.INHERITED: "yellow",
  Shade.UNPAIRED: "magenta",
  Shade.DIFFERENT: "bold red",
}
_QUIET = (Shade.SAME, Shade.EXCUSED, Shade.NEAR_TIE, Shade.INHERITED)  # Their branches stay closed.
_LINES = 40  # Of the tree and of each list, unless all are asked for.


def print_result(result: Result, *, page: Path | None = None, full: bool = False) -> None:
  """Prints `result` on stdout.

  Args:
    result: of the run.
    page: the HTML report, if one was written; its place is the last line.
    full: opens branches of the tree that are the same too, and cuts no list short.
  """
  limit = None if full else _LINES
  _print_headline(result)
  if result.settings:
    rows = [[printable(str(value)) for value in row] for row in result.settings]
    print_table("settings that differ", ("name", "original", "candidate"), rows)
  print_table("stages", ("stage", "", "pairs", "worst", "limit", "where"), _stage_rows(result))
  _print_lines("taps", list(_tree_lines(result, full)), limit)
  for title, found in digest.remarkable(digest.all_findings(result)).items():
    each = full or title == Status.UNPAIRED
    _print_lines(f"{title}: {len(found)}", list(_reason_lines(found, each)), limit)
  if result.coverage:
    print_table("coverage", ("section", "compared", "excused", "unpaired"), _coverage(result))
  if page is not None:
    _print(Text(f"report: {page}"))


def _print_headline(result: Result) -> None:
  first, *rest = headline(result)
  _print(Text(first, style="bold green" if result.same else "bold red"))
  for line in rest:
    _print(Text(line))


def _stage_rows(result: Result) -> list[list[str]]:
  rows = [[printable(cell) for cell in _stage_row(stage)] for stage in result.stages]
  return rows + [[name, "not run", "", "", "", ""] for name in digest.not_run(result)]


def _stage_row(stage: Stage) -> Sequence[str]:
  top = digest.worst(stage.findings)
  if top is None:
    return stage.name, digest.outcome(stage), str(len(stage.findings)), "", "", stage.skipped
  errors = engineering(top.error), engineering(top.limit)
  return stage.name, digest.outcome(stage), str(len(stage.findings)), *errors, digest.place(top)


def _coverage(result: Result) -> list[list[str]]:
  return [[printable(name), *map(str, counts)] for name, counts in result.coverage.items()]


def _tree_lines(result: Result, full: bool) -> Iterator[Text]:
  root, columns = tree.build(digest.all_findings(result))
  if columns:
    yield from _node_lines(root, 1, full)


def _node_lines(node: tree.Node, depth: int, full: bool) -> Iterator[Text]:
  """The node's line, and those below it where it is open."""
  shade = node.shade
  is_open = bool(node.children) and (full or shade not in _QUIET)
  layer = f" {node.layer}" if node.layer else ""
  line = Text("  " * depth)
  line.append(printable(node.label) + printable(layer) + ": ")
  line.append(str(shade), style=_COLOURS[shade])
  yield line.append(_cells(node) if is_open or not node.children else _sum(node))
  if is_open:
    for child in node.children.values():
      yield from _node_lines(child, depth + 1, full)


def _cells(node: tree.Node) -> str:
  """The errors of the node's own taps."""
  return "".join(f", {name} {_error(finding)}" for name, finding in node.findings.items())


def _error(finding: Finding) -> str:
  if finding.status in (Status.EXCUSED, Status.UNPAIRED):
    return finding.status
  text = engineering(finding.error)
  if finding.forced_error is not None and not finding.status.passes:
    text += f" (forced {engineering(finding.forced_error)})"
  return text


def _sum(node: tree.Node) -> str:
  """What a closed branch holds."""
  findings = list(node.below())
  top = digest.worst(findings)
  error = f", worst {engineering(top.error)}" if top else ""
  return f", {len(findings)} pairs{error}"


def _reason_lines(findings: Sequence[Finding], each: bool) -> Iterator[Text]:
  """A line for each finding, or one for each reason with the first finding that has it."""
  reasons: dict[object, list[Finding]] = {}
  for index, finding in enumerate(findings):
    reasons.setdefault(index if each else finding.reason, []).append(finding)
  for first, *others in reasons.values():
    more = f" and {len(others):,} more" if others else ""
    reason = f": {first.reason}" if first.reason else ""
    yield Text(printable(f"  {digest.place(first)}{more}{reason}"))


def _print_lines(title: str, lines: Sequence[Text], limit: int | None) -> None:
  """`lines` under `title`, at most `limit` of them; nothing where there are none."""
  if not lines:
    return
  _print(Text(title))
  shown = lines[:limit]
  for line in shown:
    _print(line)
  if len(shown) < len(lines):
    _print(Text(f"  … {len(lines) - len(shown)} more (--full shows all)"))


def _print(text: Text) -> None:
  if sys.stdout.isatty():
    Console().print(text, soft_wrap=True, highlight=False)
  else:
    print(text.plain)
