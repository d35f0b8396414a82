"""A project's standing on the terminal, and what to do next."""

import shlex

from official.cli.table import print_table
from official.workflow.judging import Standing, State, Verdict
from official.workflow.stages import STAGES


def print_standing(standing: Standing) -> None:
  """Prints a line for each gate, on stdout; damage first."""
  for problem in standing.reading.problems:
    print(f"EVIDENCE DAMAGED: {problem}")
  rows = [_row(verdict) for verdict in standing.verdicts]
  title = f"{standing.project.name}: {headline(standing)}"
  print_table(title, ("stage", "gate", "", "last run", "figures, or why not"), rows)


def headline(standing: Standing) -> str:
  """Where the project is, in a line."""
  green = sum(row.state is State.PASSED for row in standing.verdicts)
  if standing.stage > len(STAGES):
    return f"released; all {green} gates pass"
  title = STAGES[standing.stage - 1].title
  return f"in stage {standing.stage}, {title}; {green} of {len(standing.verdicts)} gates pass"


def next_lines(standing: Standing) -> list[str]:
  """What to do now, a line each."""
  if standing.reading.problems or standing.reading.spoiled:
    first = [*standing.reading.problems, *standing.reading.spoiled.values()][0]
    command = f"python -m tools.workflow mend {standing.project.name}"
    return [f"the evidence is damaged: {first}", f"mend it: {command}"]
  open_ = [row for row in standing.verdicts if row.state is not State.PASSED]
  return _advice(standing, open_[0]) if open_ else ["nothing: every gate passes"]


def figures(verdict: Verdict) -> str:
  """The figures of the last run, in a line."""
  values = verdict.record.figures if verdict.record else {}
  return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _row(verdict: Verdict) -> list[str]:
  at = verdict.record.at if verdict.record else ""
  why = "; ".join(verdict.reasons) or figures(verdict)
  return [str(verdict.stage.number), verdict.name, str(verdict.state), at, why]


def _advice(standing: Standing, row: Verdict) -> list[str]:
  name = standing.project.name
  lines = [
    f"stage {row.stage.number}, {row.stage.title}; gate {row.name}: {row.gate.asks}",
    f"it is {row.state}" + "".join(f"; {reason}" for reason in row.reasons),
  ]
  if row.state is State.FAILED:
    lines.append(f"look at: {row.gate.failing}")
  if row.binding is None:
    begins = " or ".join(row.gate.commands)
    return [*lines, f"bind a command to it in projects/{name}/reengineering.yaml: {begins} …"]
  return [
    *lines,
    f"run it: python -m tools.workflow run {name} {shlex.quote(row.name)}",
    f"it runs: {row.binding.command}",
  ]
