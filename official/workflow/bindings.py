"""What a project binds to a gate: a command, and what its answer is about."""

import dataclasses
import hashlib
import json
import re
import shlex
from collections.abc import Mapping

from official.cli.errors import UserError, nearest
from official.workflow.schema import Fields
from official.workflow.stages import GATES, STAGE_OF, Gate, Stage

# The place where a command may write its report; a new folder for each run.
REPORT = "{report}"

_VARIANT = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class Pin:
  """A file or folder outside the code: foreign weights, data.

  Attributes:
    path: from the repository's root.
    sha256: of its bytes; of a folder, as `sources.tree_digest` has it.
  """

  path: str
  sha256: str


@dataclasses.dataclass(frozen=True)
class Binding:
  """A gate of a project.

  Attributes:
    name: the gate's, or `gate/variant`.
    command: begins as the gate demands; `{report}` stands for a folder made for the run.
    report: the file in `{report}` that the command leaves; None where only its exit code counts.
    code: modules and paths that the answer is about, beside what the command names itself.
    weights: foreign weights that the command reads.
    data: foreign data that the command reads.
    at_least: figures of the report, and what each must reach.
  """

  name: str
  command: str
  report: str | None = None
  code: tuple[str, ...] = ()
  weights: tuple[Pin, ...] = ()
  data: tuple[Pin, ...] = ()
  at_least: Mapping[str, float] = dataclasses.field(default_factory=dict)

  @property
  def gate(self) -> Gate:
    """What it is bound to."""
    return GATES[self.name.partition("/")[0]]

  @property
  def stage(self) -> Stage:
    """At whose end it stands."""
    return STAGE_OF[self.gate.name]

  @property
  def digest(self) -> str:
    """Of all that is declared: an answer to another question is not an answer to this one."""
    text = json.dumps(dataclasses.asdict(self), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read(name: str, fields: Fields) -> Binding:
  """The binding that `fields` state for the gate `name`.

  Raises:
    UserError: there is no such gate, the command may not answer it, or a field is wrong.
  """
  kind, slash, variant = name.partition("/")
  if kind not in GATES or (slash and not _VARIANT.fullmatch(variant)):
    raise UserError(f"{fields.where}: no gate '{kind}'{nearest(kind, GATES)}")
  binding = Binding(
    name=name,
    command=_command(fields, GATES[kind]),
    report=fields.text("report") if fields.has("report") else None,
    code=fields.texts("code"),
    weights=_pins(fields, "weights"),
    data=_pins(fields, "data"),
    at_least=_bounds(fields),
  )
  if (binding.report is None) != (REPORT not in binding.command):
    raise UserError(f"{fields.where}: 'report' is a file in the command's {REPORT}: state both")
  fields.done()
  return binding


def _command(fields: Fields, gate: Gate) -> str:
  command = " ".join(fields.text("command").split())
  if not any(f"{command} ".startswith(f"{start} ") for start in gate.commands):
    begins = "' or '".join(gate.commands)
    raise UserError(f"{fields.where}.command: a command of this gate begins with '{begins}'")
  try:
    shlex.split(command)
  except ValueError as error:
    raise UserError(f"{fields.where}.command: {error}") from error
  return command


def _pins(fields: Fields, key: str) -> tuple[Pin, ...]:
  pins = []
  for pin in fields.each(key):
    pins.append(Pin(pin.text("path"), pin.digest("sha256")))
    pin.done()
  return tuple(pins)


def _bounds(fields: Fields) -> dict[str, float]:
  if not fields.has("at_least"):
    return {}
  bounds = fields.below("at_least")
  return {name: bounds.number(name) for name in bounds.names()}
