"""A result as one HTML file that needs nothing else."""

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from official.cli.files import write_file
from official.parity.report import digest
from official.parity.report.arrays import BlamedArrays, finding_key
from official.parity.report.digest import Shade, engineering
from official.parity.report.page_charts import add_depth, add_trajectory
from official.parity.report.page_style import SCRIPT, STYLE
from official.parity.report.page_tree import add_tree, shade_class
from official.parity.report.pictures import add_pictures
from official.parity.report.tree import SECTIONS
from official.parity.result import Blame, Diagnosis, Finding, Result, Stage
from official.reports.page import Cell, Page

_ROWS = 25  # Of a table that is shown unfolded.
_NAMED = 20  # Others that may be to blame.
_PICTURED = 8  # Blames that are drawn; more would make the file large.


def write_page(result: Result, directory: Path, arrays: Sequence[BlamedArrays] = ()) -> Path:
  """Writes `directory`/index.html, atomically, and returns its path.

  Args:
    result: of the run.
    directory: is made where it is missing.
    arrays: of blamed findings, where they are at hand; each is drawn beside its blame, of the first
      few blames. Those that belong to no blame are left out.

  Raises:
    UserError: when the system refuses to write.
  """
  path = directory / "index.html"
  text = _render(result, {one.name: one for one in arrays})
  # A name from a file may hold what UTF-8 cannot say.
  write_file(path, text.encode("utf-8", "replace"))
  return path


def _render(result: Result, arrays: Mapping[str, BlamedArrays]) -> str:
  page = Page(f"{result.case}: is it the same model?", STYLE, SCRIPT)
  findings = digest.all_findings(result)
  _add_banner(page, result)
  _add_settings(page, result)
  _add_stages(page, result)
  _add_blames(page, result, arrays)
  add_depth(page, findings)
  add_tree(page, findings)
  add_trajectory(page, result)
  for stage in result.stages:
    _add_findings(page, stage)
  for title, found in digest.remarkable(findings).items():
    _add_reasons(page, title.capitalize(), found)
  _add_provenance(page, result)
  return page.render()


def _add_banner(page: Page, result: Result) -> None:
  first, *rest = digest.headline(result)
  verdict, _, facts = first.partition(": ")
  style = shade_class(Shade.SAME if result.same else Shade.DIFFERENT)
  lines = "".join(f"<p>{html.escape(line)}</p>" for line in (facts, *rest))
  page.markup(f'<div class="banner {style}"><b>{html.escape(verdict)}</b>{lines}</div>')


def _add_settings(page: Page, result: Result) -> None:
  if result.settings:
    page.heading("Settings that differ")
    rows = [tuple(map(str, row)) for row in result.settings]
    page.table(["setting", "original", "candidate"], rows)


def _add_stages(page: Page, result: Result) -> None:
  page.heading("Stages")
  head = ["stage", "", "pairs", "worst error", "limit", "where", "seconds"]
  rows = [_stage_row(stage) for stage in result.stages]
  rows += [[name, Cell("not run", "excused"), *[""] * 5] for name in digest.not_run(result)]
  page.table(head, rows)


def _stage_row(stage: Stage) -> list[object]:
  outcome, top = digest.outcome(stage), digest.worst(stage.findings)
  styles = {"pass": Shade.SAME, "fail": Shade.DIFFERENT}
  row: list[object] = [stage.name, Cell(outcome, shade_class(styles.get(outcome, Shade.EXCUSED)))]
  row.append(len(stage.findings))
  row += [_number(top.error), _number(top.limit), digest.place(top)] if top else ["", "", ""]
  row[-1] = stage.skipped or row[-1]
  return [*row, Cell(f"{stage.seconds:.1f}", "number")]


def _number(value: float) -> Cell:
  return Cell(engineering(value), "number")


def _add_blames(page: Page, result: Result, arrays: Mapping[str, BlamedArrays]) -> None:
  blames = [blame for stage in result.stages for blame in stage.blames]
  for number, blame in enumerate(blames):
    pictures = arrays.get(finding_key(blame.finding)) if number < _PICTURED else None
    if number == 0:
      page.heading("First divergence")
      _add_blame(page, blame, pictures)
      continue
    if number == 1:
      page.heading("Other divergences")
    with page.folded(f"{blame.finding.stage}: {blame.layer}"):
      _add_blame(page, blame, pictures)


def _add_blame(page: Page, blame: Blame, pictures: BlamedArrays | None) -> None:
  finding = blame.finding
  page.paragraph(digest.culprit(blame), "big different")
  reason = f" ({finding.reason})" if finding.reason else ""
  stage = f"{finding.stage}, {digest.place(finding)}"
  page.paragraph(f"Given away by {stage}: {digest.numbers(finding)}{reason}.")
  if blame.region:
    more = f" and {len(blame.region) - _NAMED:,} more" if len(blame.region) > _NAMED else ""
    page.paragraph(f"May be to blame too: {', '.join(blame.region[:_NAMED])}{more}.")
  if blame.diagnoses:
    head = ["cause", "what differs", "error before", "after", ""]
    page.table(head, [_diagnosis_row(diagnosis, blame) for diagnosis in blame.diagnoses])
  else:
    page.paragraph("No known mistake was found to explain it.")
  if pictures is not None:
    add_pictures(page, pictures)


def _diagnosis_row(diagnosis: Diagnosis, blame: Blame) -> list[object]:
  cause = Cell(diagnosis.cause, shade_class(Shade.SAME if diagnosis.closes else Shade.EXCUSED))
  errors = _number(diagnosis.before), _number(diagnosis.after)
  return [
    cause,
    digest.explanation(diagnosis, blame),
    *errors,
    "closes the gap" if diagnosis.closes else "",
  ]


def _add_findings(page: Page, stage: Stage) -> None:
  """What a stage compared apart from taps: a row for each name, its worst over phases and steps."""
  groups: dict[tuple[str, str], list[Finding]] = {}
  for finding in stage.findings:
    if finding.section not in SECTIONS:
      groups.setdefault((finding.section, finding.name), []).append(finding)
  if not groups:
    return
  tops = sorted(groups.values(), key=lambda group: max(map(digest.badness, group)), reverse=True)
  failed = sum(any(not f.status.passes for f in group) for group in tops)
  page.heading(f"{stage.name.capitalize()}: {failed:,} of {len(tops):,} fail")
  head = ["section", "candidate", "original", "verdict", "worst error", "limit", "noise", "at", ""]
  _add_table(page, head, [_finding_row(group) for group in tops], shown=_ROWS if failed else 0)


def _finding_row(group: Sequence[Finding]) -> list[object]:
  top = max(group, key=digest.badness)
  shade = digest.shade(top)
  return [
    top.section,
    top.name,
    top.reference,
    Cell(shade, shade_class(shade)),
    *map(_number, (top.error, top.limit, top.noise)),
    top.phase,
    top.reason,
  ]


def _add_table(
  page: Page, head: Sequence[str], rows: Sequence[Sequence[object]], shown: int = _ROWS
) -> None:
  """A table; of a long one only the first `shown` rows are unfolded."""
  first = len(rows) if len(rows) <= _ROWS else shown
  if first:
    page.table(head, rows[:first])
  if rest := rows[first:]:
    with page.folded(f"{len(rest):,} {'more' if first else 'rows'}"):
      page.table(head, rest)


def _add_reasons(page: Page, title: str, findings: Sequence[Finding]) -> None:
  if findings:
    page.heading(f"{title}: {len(findings):,}")
    rows = [(f.stage, digest.place(f), f.reason) for f in findings]
    _add_table(page, ["stage", "what", "why"], rows)


def _add_provenance(page: Page, result: Result) -> None:
  """Coverage, weights, and what the run stood on."""
  if result.coverage:
    page.heading("Coverage")
    rows = [(name, *counts) for name, counts in result.coverage.items()]
    page.table(["section", "compared", "excused", "unpaired"], rows)
  if result.weights:
    page.heading("Weights")
    with page.folded(f"{len(result.weights):,} transfers"):
      page.table(["original", "candidate", "transform", "shape"], result.weights)
  if result.determinism:
    page.heading("Proved before anything was compared")
    page.table([], [(sentence,) for sentence in result.determinism])
  if result.environment:
    page.heading("Environment")
    page.table(["", ""], _flat(result.environment))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
  for name, value in values.items():
    if isinstance(value, Mapping):
      yield from _flat(value, f"{prefix}{name}.")
    else:
      yield f"{prefix}{name}", str(value)
