"""A project's standing as a page: gates, runs, the paper's analysis, deviations and defects."""

import collections
from collections.abc import Iterable, Mapping
from pathlib import Path

from official.cli.files import write_file
from official.reports.page import Cell, Page
from official.workflow.judging import Standing, State
from official.workflow.report import terminal
from official.workflow.stages import STAGES

_STYLE = """
td { overflow-wrap: anywhere; }
.passed { color: #1a7f4b; font-weight: 600; } .stale { color: #a66a00; font-weight: 600; }
.failed, .damaged { color: #c62828; font-weight: 600; } .open { color: var(--faint); }
@media (prefers-color-scheme: dark) { .passed { color: #5cc98d; } .stale { color: #e0a83a; }
  .failed, .damaged { color: #ff7b72; } }
"""
_CLASSES = {State.NOT_RUN: "open", State.UNBOUND: "open"}


def write_page(standing: Standing, path: Path) -> None:
  """Writes the page to `path`, atomically.

  Raises:
    UserError: when the system refuses to write.
  """
  page = Page(f"{standing.project.name}: stages and gates", _STYLE)
  page.paragraph(terminal.headline(standing), "big")
  for problem in standing.reading.problems:
    page.paragraph(f"Evidence damaged: {problem}", "damaged")
  _next(page, standing)
  _gates(page, standing)
  _runs(page, standing)
  _analysis(page, standing)
  write_file(path, page.render().encode())


def _next(page: Page, standing: Standing) -> None:
  page.heading("Next")
  page.code("\n".join(terminal.next_lines(standing)))


def _gates(page: Page, standing: Standing) -> None:
  for stage in STAGES:
    page.heading(f"{stage.number} {stage.title}")
    rows = [
      (
        row.name,
        row.gate.asks,
        Cell(str(row.state), _CLASSES.get(row.state, str(row.state))),
        "; ".join(row.reasons) or terminal.figures(row),
        row.binding.command if row.binding else "",
      )
      for row in standing.of_stage(stage.number)
    ]
    page.table(("gate", "question", "", "figures, or why not", "command"), rows)


def _runs(page: Page, standing: Standing) -> None:
  page.heading("Every run")
  rows = [
    (row.at, row.gate, Cell(row.result, row.result), row.reason, row.seconds, row.commit[:12])
    for row in reversed(standing.reading.records)
  ]
  page.table(("at", "gate", "", "why", "seconds", "commit"), rows)


def _analysis(page: Page, standing: Standing) -> None:
  file = standing.project.file
  page.heading("The original")
  _table(page, {**file.reference, "claims": file.claims, **file.difficulty})
  page.heading("Checklist")
  _table(page, file.checklist)
  page.heading("Deviations")
  page.table(("what", "why"), [(row.what, row.why) for row in file.deviations])
  page.heading("Defects")
  _shares(page, "surfaced", (row.surfaced for row in file.defects))
  _shares(page, "impact", (row.impact for row in file.defects))
  rows = [(d.title, d.impact, d.type, d.cause, d.surfaced, d.seen, d.mended) for d in file.defects]
  page.table(("defect", "impact", "type", "cause", "surfaced", "seen by", "mended"), rows)


def _table(page: Page, answers: Mapping[str, str]) -> None:
  page.table(("", ""), list(answers.items()))


def _shares(page: Page, title: str, kinds: Iterable[str]) -> None:
  counts = collections.Counter(kinds).most_common()
  page.paragraph(f"{title}: " + ", ".join(f"{kind} {count}" for kind, count in counts))
