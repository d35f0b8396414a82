"""A project's standing as a small picture for its README: a field for each stage."""

from pathlib import Path

from official.workflow.judging import Standing, State
from official.workflow.project import Project
from official.workflow.stages import STAGES

_HEIGHT, _WIDTH = 20, 118  # Of a field, in pixels.
_GREEN, _AMBER, _RED, _GREY = "#1a7f4b", "#a66a00", "#c62828", "#6b7683"


def path(project: Project) -> Path:
  """Where the badge of `project` lies."""
  return project.folder / "evidence" / "badge.svg"


def draw(standing: Standing) -> str:
  """The picture, as SVG. It changes with the gates' states alone, not with dates."""
  fields = "".join(_field(standing, stage.number, stage.title) for stage in STAGES)
  width = _WIDTH * len(STAGES)
  return (
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" role="img" '
    f'aria-label="stages of {standing.project.name}" font-family="system-ui,sans-serif" '
    f'font-size="10" fill="#fff">\n{fields}</svg>\n'
  )


def _field(standing: Standing, number: int, title: str) -> str:
  states = [row.state for row in standing.of_stage(number)]
  left = (number - 1) * _WIDTH
  text = f"{number} {title} {states.count(State.PASSED)}/{len(states)}"
  return (
    f'<rect x="{left}" width="{_WIDTH - 2}" height="{_HEIGHT}" rx="3" fill="{_colour(states)}"/>'
    f'<text x="{left + (_WIDTH - 2) / 2}" y="14" text-anchor="middle">{text}</text>\n'
  )


def _colour(states: list[State]) -> str:
  if State.FAILED in states or State.DAMAGED in states:
    return _RED
  if State.STALE in states:
    return _AMBER
  return _GREEN if all(state is State.PASSED for state in states) else _GREY
