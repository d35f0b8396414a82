"""Reads `reengineering.yaml`: what is known of the original, what differs, what went wrong.

The checklist is Banna et al.'s (arXiv 2107.00821); the defects' fields are Jiang et al.'s
(arXiv 2303.07476), see `taxonomy`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from official.cli.errors import UserError
from official.training import yaml_files
from official.workflow import bindings, taxonomy
from official.workflow.bindings import Binding
from official.workflow.schema import Fields
from official.workflow.stages import STAGES

FILE = "reengineering.yaml"
CHECKLIST = (
  "purpose",
  "code availability",
  "language, framework, libraries",
  "networks referenced",
  "architecture",
  "sub-networks",
  "building blocks",
  "custom layers",
  "loss functions",
  "output structure",
  "dataset",
  "pre-processing",
  "output processing",
  "testing and target metrics",
  "training steps",
)
_REFERENCE = ("paper", "code", "revision", "licence", "use")
_DIFFICULTY = ("size", "custom operations", "existing implementations", "feasibility")


@dataclasses.dataclass(frozen=True)
class Deviation:
  """Where ours is not the original on purpose.

  Attributes:
    what: differs, and how the original does it.
    why: it does.
  """

  what: str
  why: str


@dataclasses.dataclass(frozen=True)
class Defect:
  """Something that went wrong, in the words of `taxonomy`.

  Attributes:
    title: what was wrong.
    reporter: which kind of work met it.
    manifestation: in new work, in a change, or against published figures.
    impact: what it did.
    type: what was wrong in the code.
    cause: where it came from.
    surfaced: the part of the work in which it was seen.
    seen: by what: a test, a figure, a run.
    mended: what was done.
  """

  title: str
  reporter: str
  manifestation: str
  impact: str
  type: str
  cause: str
  surfaced: str
  seen: str
  mended: str


@dataclasses.dataclass(frozen=True)
class Reengineering:
  """A project's file.

  Attributes:
    stage: that the project is in: all gates of the stages before it pass. One more than the last
      stage's number for a project that has been released.
    claims: in words, where the published figures stand.
    reference: paper, code, revision, licence, and how the code was used.
    difficulty: size, operations, existing implementations, and whether it can be done.
    checklist: an answer to each of `CHECKLIST`.
    deviations: from the original.
    defects: the log.
    gates: the commands that are bound, by name.
  """

  stage: int
  claims: str
  reference: Mapping[str, str]
  difficulty: Mapping[str, str]
  checklist: Mapping[str, str]
  deviations: tuple[Deviation, ...]
  defects: tuple[Defect, ...]
  gates: Mapping[str, Binding]


def read(path: Path) -> Reengineering:
  """The file at `path`.

  Raises:
    UserError: it cannot be read, or something in it is missing, unknown or wrong.
  """
  fields = Fields(yaml_files.read(str(path)), str(path))
  result = Reengineering(
    stage=_stage(fields),
    claims=fields.text("claims"),
    reference=_answers(fields, "reference", _REFERENCE),
    difficulty=_answers(fields, "difficulty", _DIFFICULTY),
    checklist=_answers(fields, "checklist", CHECKLIST),
    deviations=tuple(_deviation(entry) for entry in fields.each("deviations")),
    defects=tuple(_defect(entry) for entry in fields.each("defects")),
    gates=_gates(fields),
  )
  fields.done()
  return result


def _stage(fields: Fields) -> int:
  number, last = fields.number("stage"), len(STAGES) + 1
  if number not in range(1, last + 1):
    raise UserError(f"{fields.where}.stage: expected 1 to {last}, not {number}")
  return int(number)


def _answers(fields: Fields, key: str, names: tuple[str, ...]) -> dict[str, str]:
  section = fields.below(key)
  answers = {name: section.text(name) for name in names}
  section.done()
  return answers


def _deviation(fields: Fields) -> Deviation:
  result = Deviation(fields.text("what"), fields.text("why"))
  fields.done()
  return result


def _defect(fields: Fields) -> Defect:
  result = Defect(
    title=fields.text("title"),
    reporter=fields.choice("reporter", taxonomy.REPORTERS),
    manifestation=fields.choice("manifestation", taxonomy.MANIFESTATIONS),
    impact=fields.choice("impact", taxonomy.IMPACTS),
    type=fields.choice("type", taxonomy.TYPES),
    cause=fields.choice("cause", taxonomy.CAUSES),
    surfaced=fields.choice("surfaced", taxonomy.SURFACES),
    seen=fields.text("seen"),
    mended=fields.text("mended"),
  )
  fields.done()
  return result


def _gates(fields: Fields) -> dict[str, Binding]:
  section = fields.below("gates")
  return {name: bindings.read(name, section.below(name)) for name in section.names()}
