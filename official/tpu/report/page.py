"""Checks as one HTML file that needs nothing else."""

import html
from collections.abc import Sequence
from pathlib import Path

from official.cli.files import write_file
from official.reports.page import Cell, Page
from official.tpu.check import Check
from official.tpu.report import digest

_STYLE = """
:root { --good: #1a7f4b; --bad: #c62828; --warn: #a66a00; --cool: #00799a; }
@media (prefers-color-scheme: dark) { :root { --good: #5cc98d; --bad: #ff7b72; --warn: #e0a83a;
  --cool: #56c2de; } }
body { max-width: 84rem; } td { overflow-wrap: anywhere; }
.banner { padding: 1rem 1.2rem; border-left: .6rem solid; background: var(--plate); }
.fits { color: var(--good); } .fails { color: var(--bad); } .error { color: var(--bad); }
.warning { color: var(--warn); } .note { color: var(--cool); }
.bar { display: flex; height: 2rem; background: var(--plate); margin: 1rem 0; }
.bar span { display: block; overflow: hidden; font-size: 12px; line-height: 2rem; color: #fff;
  padding-left: .3rem; box-sizing: border-box; white-space: nowrap; }
.arguments { background: #2563c9; } .outputs { background: #8e24aa; }
.temporaries { background: #c2570c; } .code { background: #5a6472; }
"""


def write_page(name: str, checks: Sequence[Check], directory: Path) -> Path:
  """Writes `directory`/index.html, atomically, and returns its path.

  Args:
    name: of the experiment.
    checks: of it.
    directory: is made where it is missing.

  Raises:
    UserError: when the system refuses to write.
  """
  page = Page(f"{name}: does it fit the TPU?", _STYLE)
  if len(checks) > 1:
    page.heading("Topologies")
    page.table(digest.TABLE_HEAD, [_table_row(check) for check in checks])
  for check in checks:
    _add_check(page, check)
  path = directory / "index.html"
  write_file(path, page.render().encode("utf-8", "replace"))
  return path


def _table_row(check: Check) -> list[object]:
  row: list[object] = list(digest.table_row(check))
  row[2] = Cell(str(row[2]), "fits" if check.fits else "fails")
  return row


def _add_check(page: Page, check: Check) -> None:
  page.heading(f"{check.topology.name}, {check.kind}")
  style = "fits" if check.fits else "fails"
  text = html.escape(digest.headline(check))
  page.markup(f'<div class="banner {style}"><b>{text}</b></div>')
  if check.budget:
    _add_memory(page, check)
    page.table(("work", ""), list(digest.work_rows(check, check.budget)))
    page.paragraph(f"Bounds stand on published figures: {digest.chip_row(check)}.")
    page.heading("Dearest instructions")
    page.table(digest.COST_HEAD, list(digest.cost_rows(check)))
  _add_findings(page, check)
  page.paragraph(f"{digest.spent(check)}.")


def _add_memory(page: Page, check: Check) -> None:
  memory = check.budget.memory
  parts = {
    "arguments": memory.arguments,
    "outputs": memory.outputs - memory.aliased,
    "temporaries": memory.temporaries,
    "code": memory.code,
  }
  whole = max(memory.capacity, memory.total)
  spans = (
    f'<span class="{name}" style="width:{100 * part / whole:.2f}%" title="{name}: '
    f'{digest.size(part)}">{name}</span>'
    for name, part in parts.items()
  )
  page.markup(f'<div class="bar">{"".join(spans)}</div>')
  page.table(("memory of a core", ""), list(digest.memory_rows(check.budget)))


def _add_findings(page: Page, check: Check) -> None:
  if check.findings:
    page.heading(f"Findings: {len(check.findings):,}")
    rows = ([Cell(row[0], row[0]), *row[1:]] for row in digest.finding_rows(check.findings))
    page.table(digest.FINDING_HEAD, rows)
