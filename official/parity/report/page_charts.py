"""The page's charts: error against depth, and against training steps."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from official.parity.report import digest, tree
from official.parity.report.chart import Series, log_chart
from official.parity.report.digest import engineering
from official.parity.result import Finding, Result, Status
from official.reports.page import Page

_STEP = re.compile(r"step(\d+)")  # See `keys.step_phase`.
_DRAWN = (Status.SAME, Status.DIFFERENT, Status.NEAR_TIE)


def add_depth(page: Page, findings: Iterable[Finding]) -> None:
  """Errors of taps against their place in the execution, a chart for each phase."""
  charts: dict[str, list[Finding]] = defaultdict(list)
  for finding in sorted(findings, key=lambda f: f.order):
    if finding.section in tree.SECTIONS and finding.status in _DRAWN:
      charts[tree.column(finding)].append(finding)
  if not charts:
    return
  page.heading("Error against depth")
  for column, taps in charts.items():
    title, axis = f"Forward, {column}", "order of execution"
    if taps[0].section == "upstream":
      title, axis = "Backward: gradients that arrive", f"{axis}; the backward pass runs leftwards"
    page.markup(log_chart(title, axis, _depth_series(taps)))


def _depth_series(taps: Sequence[Finding]) -> list[Series]:
  forced = [f for f in taps if f.forced_error is not None]
  noise = [(f.order, f.noise, "") for f in taps] if any(f.noise for f in taps) else []
  return [
    Series("limit", "limit", [(f.order, f.limit, "") for f in taps], line=True),
    Series("noise floor", "noise", noise, line=True),
    Series("end to end", "end", [_dot(f, f.error) for f in taps]),
    Series("fed the original's values", "forced", [_dot(f, f.forced_error) for f in forced]),
  ]


def _dot(finding: Finding, error: float) -> tuple[float, float, str]:
  layer = f" ({finding.layer})" if finding.layer else ""
  return finding.order, error, f"{finding.name}{layer}: {engineering(error)}"


def add_trajectory(page: Page, result: Result) -> None:
  """The worst error of each section after each training step."""
  steps = _worst_by_step(result)
  if not steps:
    return
  page.heading("Training steps")
  series = []
  for index, (section, found) in enumerate(steps.items()):
    colour = f"s{index % 6}"
    limits = [(_step(f), f.limit, "") for f in found]
    series.append(Series("", f"{colour} dashes", limits, line=True))
    series.append(Series(section, colour, [_step_dot(f) for f in found]))
  page.markup(log_chart("Worst error after each step, and its limit (dashed)", "step", series))


def _worst_by_step(result: Result) -> Mapping[str, list[Finding]]:
  """The worst finding of each step, ascending, by section."""
  found: dict[str, dict[int, list[Finding]]] = defaultdict(lambda: defaultdict(list))
  for finding in digest.all_findings(result):
    if _STEP.fullmatch(finding.phase) and finding.status in _DRAWN:
      found[finding.section][_step(finding)].append(finding)
  return {
    section: [max(steps[step], key=digest.badness) for step in sorted(steps)]
    for section, steps in found.items()
  }


def _step(finding: Finding) -> int:
  return int(_STEP.fullmatch(finding.phase)[1])


def _step_dot(finding: Finding) -> tuple[float, float, str]:
  text = f"step {_step(finding)}: {finding.section} {finding.name}: {engineering(finding.error)}"
  return _step(finding), finding.error, text
