"""Whether a project's evidence may be believed: what a check refuses."""

from collections.abc import Iterator

from official.workflow.judging import Standing, State, Verdict
from official.workflow.report import badge

# A gate in one of these says what is not so any more; one that was never run says nothing.
_UNTRUE = (State.STALE, State.FAILED, State.DAMAGED)


def findings(standing: Standing) -> list[str]:
  """What is wrong with the evidence, a line each; none where it may be believed.

  Wrong are: damage; evidence of code, weights, data or versions that are others now; a gate that
  failed; a gate of a stage that the project says it has left, that is not green; and a badge that
  shows something else.
  """
  reading = standing.reading
  found = [*reading.problems, *reading.spoiled.values(), *_verdicts(standing)]
  return found or list(_badge(standing))


def _badge(standing: Standing) -> Iterator[str]:
  path = badge.path(standing.project)
  if path.is_file() and path.read_text(errors="replace") != badge.draw(standing):
    yield f"{path}: it does not show what the gates say; write it: workflow status --badge"


def _verdicts(standing: Standing) -> Iterator[str]:
  claimed = standing.project.file.stage
  for row in standing.verdicts:
    left = row.stage.number < claimed and row.state is not State.PASSED
    if left or row.state in _UNTRUE:
      yield _line(row, claimed) if left else _line(row)


def _line(row: Verdict, claimed: int | None = None) -> str:
  reason = f": {row.reasons[0]}" if row.reasons else ""
  claim = f" (the project says it is in stage {claimed})" if claimed else ""
  return f"stage {row.stage.number}, {row.name}: {row.state}{reason}{claim}"
