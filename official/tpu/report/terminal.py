"""A check on the terminal: coloured there, plain text elsewhere."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from official.cli.table import print_table
from official.tpu.check import Check
from official.tpu.findings import Finding
from official.tpu.origins import nearby
from official.tpu.report import digest

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_NOTES = 25  # Findings that are listed, unless all are asked for.


def print_check(check: Check, *, page: Path | None = None, full: bool = False) -> None:
  """Prints a check on stdout.

  Args:
    check: what was found.
    page: the HTML report, if one was written; its place is the last line.
    full: lists every finding.
  """
  _print(Text(digest.headline(check), style="bold green" if check.fits else "bold red"))
  if check.budget:
    print_table("memory", ("", ""), list(digest.memory_rows(check.budget)))
    print_table("work", ("", ""), list(digest.work_rows(check, check.budget)))
    _print(Text(f"  {digest.chip_row(check)}"))
    print_table("dearest instructions", digest.COST_HEAD, list(digest.cost_rows(check)))
  _print_findings(check.findings, None if full else _NOTES)
  _print(Text(digest.spent(check)))
  if page is not None:
    _print(Text(f"report: {page}"))


def print_checks(checks: Sequence[Check]) -> None:
  """Prints one line for each check."""
  print_table("topologies", digest.TABLE_HEAD, [digest.table_row(check) for check in checks])


def _print_findings(findings: Sequence[Finding], limit: int | None) -> None:
  for finding in findings[:limit]:
    _print(_headline(finding))
    _print(Text(f"    {finding.reason} Cure: {finding.cure}."))
  if limit is not None and len(findings) > limit:
    _print(Text(f"  … {len(findings) - limit} more (--full shows all)"))


def _headline(finding: Finding) -> Text:
  times = f" × {finding.count}" if finding.count > 1 else ""
  layer = f" in {finding.layer}" if finding.layer else ""
  line = f" at {nearby(finding.line)}" if finding.line else ""
  text = Text("  ").append(finding.level, style=_COLOURS[finding.level])
  return text.append(f" {finding.rule}: {finding.op}{times}{layer}{line}")


def _print(text: Text) -> None:
  if sys.stdout.isatty():
    Console().print(text, soft_wrap=True, highlight=False)
  else:
    print(text.plain)
