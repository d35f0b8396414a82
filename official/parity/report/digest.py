"""What the reports say about findings, apart from how they draw it."""

import enum
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from official.parity.case import STAGES
from official.parity.result import Blame, Diagnosis, Finding, Result, Stage, Status


class Shade(enum.StrEnum):
  """How a finding is coloured; ascending, the worst last."""

  EXCUSED = "excused"
  SAME = "same"
  NEAR_TIE = "near tie"
  INHERITED = "inherited"  # Differs, but not when it is fed what the original feeds it.
  UNPAIRED = "unpaired"
  DIFFERENT = "different"


_ORDER = list(Shade)
_REMARKABLE = (Status.UNPAIRED, Status.EXCUSED, Status.NEAR_TIE)
OVER = "passed over the limit"


def shade(finding: Finding) -> Shade:
  """The colour of `finding`."""
  if finding.status is Status.DIFFERENT and finding.forced_status is not None:
    return Shade.INHERITED if finding.forced_status.passes else Shade.DIFFERENT
  return Shade(finding.status.value)


def worst_shade(findings: Iterable[Finding]) -> Shade:
  """The worst colour among `findings`; of none, SAME."""
  return max((shade(finding) for finding in findings), key=_ORDER.index, default=Shade.SAME)


def badness(finding: Finding) -> tuple[int, float]:
  """What findings are sorted by: colour, then how far the error goes towards or over its limit."""
  return _ORDER.index(shade(finding)), _excess(finding)


def _excess(finding: Finding) -> float:
  if math.isnan(finding.error):
    return math.inf
  if finding.limit > 0:
    return finding.error / finding.limit
  return math.inf if finding.error > 0 else 0.0


def worst(findings: Iterable[Finding]) -> Finding | None:
  """The compared finding that is nearest to its limit or furthest over it; None where there is
  none."""
  compared = (f for f in findings if f.status not in (Status.EXCUSED, Status.UNPAIRED))
  return max(compared, key=badness, default=None)


def failures(stage: Stage) -> list[Finding]:
  """The findings that fail, in order of execution."""
  return sorted((f for f in stage.findings if not f.status.passes), key=lambda f: f.order)


def lenient(findings: Iterable[Finding]) -> list[Finding]:
  """Those that pass with an error over their limit; their reasons say why."""
  return [f for f in findings if f.status is Status.SAME and not f.error <= f.limit]


def remarkable(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
  """What a reader must know of beyond errors, by title: each of it has a reason."""
  groups = {status: [f for f in findings if f.status is status] for status in _REMARKABLE}
  return {**{str(s): group for s, group in groups.items()}, OVER: lenient(findings)}


def all_findings(result: Result) -> list[Finding]:
  """Of all stages, in order."""
  return [finding for stage in result.stages for finding in stage.findings]


def outcome(stage: Stage) -> str:
  """One word or two on a stage."""
  if stage.skipped:
    return "skipped"
  if not stage.findings:
    return "nothing compared"
  return "pass" if stage.same else "fail"


def not_run(result: Result) -> list[str]:
  """Stages that the result says nothing about."""
  told = {stage.name for stage in result.stages}
  return [name for name in STAGES if name not in told]


def place(finding: Finding) -> str:
  """Where a finding is, in words: "eval output backbone/c1 (Conv2D)"."""
  layer = f" ({finding.layer})" if finding.layer else ""
  return f"{finding.phase} {finding.section} {finding.name}{layer}"


def numbers(finding: Finding) -> str:
  """Its errors, in words."""
  parts = [f"error {engineering(finding.error)}", f"limit {engineering(finding.limit)}"]
  if finding.noise:
    parts.append(f"noise floor {engineering(finding.noise)}")
  if finding.forced_error is not None:
    parts.append(f"teacher-forced {engineering(finding.forced_error)}")
  return ", ".join(parts)


def headline(result: Result) -> list[str]:
  """The verdict, the first divergence, and its best diagnosis: one to three lines of plain text."""
  verdict = "SAME" if result.same else "NOT THE SAME"
  lines = [f"{verdict}: {result.case}, {result.precision}, seed {result.seed}; {_extent(result)}"]
  if not result.same:
    lines += _first_divergence(result)
  return [printable(line) for line in lines]


def _extent(result: Result) -> str:
  findings = all_findings(result)
  top = worst(findings)
  if top is None:
    return "nothing was compared"
  failed = sum(not f.status.passes for f in findings)
  compared = f"{len(findings):,} pairs"
  if failed:
    return f"{failed:,} of {compared} fail"
  over = f", {len(lenient(findings)):,} passed over its limit" if lenient(findings) else ""
  return f"{compared}, worst error {engineering(top.error)} of {engineering(top.limit)}{over}"


def _first_divergence(result: Result) -> list[str]:
  blame = result.first_blame
  stage = next((s for s in result.stages if (blame in s.blames if blame else not s.same)), None)
  if stage is None:
    return []
  finding = blame.finding if blame else failures(stage)[0]
  reason = f" ({finding.reason})" if finding.reason else ""
  line = f"first divergence: {stage.name}, {place(finding)}: {numbers(finding)}{reason}"
  if blame is None:
    return [line]
  return [f"{line}; blame {culprit(blame)}", f"cause: {_cause(blame)}"]


def culprit(blame: Blame) -> str:
  """The layer to blame, and the line of code where it is known."""
  return blame.layer + (f" at {_nearby(blame.line)}" if blame.line else "")


def _cause(blame: Blame) -> str:
  if not blame.diagnoses:
    return "not found"
  best = blame.diagnoses[0]
  known = "" if best.closes else "not found; nearest "
  gap = f"{engineering(best.before)} → {engineering(best.after)}"
  return f"{known}{best.cause}: {explanation(best, blame)}; error {gap}"


def explanation(diagnosis: Diagnosis, blame: Blame) -> str:
  """Its sentence, and the line of code where it is known and not that of `blame`."""
  line = diagnosis.line if diagnosis.line != blame.line else ""
  return diagnosis.sentence + (f" ({_nearby(line)})" if line else "")


def _nearby(line: str) -> str:
  """ "file:line" as it is seen from here."""
  return line.removeprefix(f"{Path.cwd()}{os.sep}")


def engineering(value: float) -> str:
  """Three digits, the exponent a multiple of three: "1.23e-9", "45.6e-3", "120", "0", "inf"."""
  if value == 0 or not math.isfinite(value):
    return f"{value:g}"
  mantissa, exponent = f"{value:.2e}".split("e")
  shift = int(exponent) % 3
  digits = f"{float(mantissa) * 10**shift:.{2 - shift}f}"
  rest = int(exponent) - shift
  return f"{digits}e{rest}" if rest else digits


def printable(text: str) -> str:
  """`text` on one line and without control characters, which a name from a file may contain."""
  return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
