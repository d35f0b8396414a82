"""What the evidence says of each gate today."""

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from pathlib import Path

from official.cli.errors import UserError
from official.workflow import records, versions
from official.workflow.bindings import Binding, Pin
from official.workflow.ledger import Reading
from official.workflow.project import Project
from official.workflow.records import Record
from official.workflow.sources import Sources, tree_digest
from official.workflow.stages import STAGES, Gate, Stage


class State(enum.StrEnum):
  """Of a gate; only the first one is green."""

  PASSED = "passed"
  STALE = "stale"
  FAILED = "failed"
  DAMAGED = "damaged"
  NOT_RUN = "not run"
  UNBOUND = "no command"


@dataclasses.dataclass(frozen=True)
class Verdict:
  """On a gate, or on one variant of it.

  Attributes:
    stage: at whose end it stands.
    gate: what is asked.
    name: the binding's; the gate's where nothing is bound.
    state: of it.
    reasons: why it is not green, a line each.
    binding: the command; None where there is none.
    record: its last run; None where there is none.
  """

  stage: Stage
  gate: Gate
  name: str
  state: State
  reasons: tuple[str, ...] = ()
  binding: Binding | None = None
  record: Record | None = None


@dataclasses.dataclass(frozen=True)
class Standing:
  """Of a project.

  Attributes:
    project: of which it is.
    verdicts: on all gates, in their order; every gate has at least one.
    reading: the evidence.
  """

  project: Project
  verdicts: tuple[Verdict, ...]
  reading: Reading

  @property
  def stage(self) -> int:
    """The number of the first stage with a gate that is not green; one more than the last if
    none."""
    open_ = [row.stage.number for row in self.verdicts if row.state is not State.PASSED]
    return min(open_, default=len(STAGES) + 1)

  def of_stage(self, number: int) -> list[Verdict]:
    """The verdicts of one stage."""
    return [row for row in self.verdicts if row.stage.number == number]


def judge(project: Project, revision: str = "HEAD") -> Standing:
  """The standing of `project`; its evidence may not fall behind git's `revision`."""
  reading, sources = project.ledger.read(revision), Sources(project.root)
  verdicts = [
    _verdict(project, stage, gate, name, reading, sources)
    for stage in STAGES
    for gate in stage.gates
    for name in _bound(project, gate) or [gate.name]
  ]
  return Standing(project, tuple(verdicts), reading)


def _bound(project: Project, gate: Gate) -> list[str]:
  return [name for name, binding in project.file.gates.items() if binding.gate is gate]


def _verdict(
  project: Project, stage: Stage, gate: Gate, name: str, reading: Reading, sources: Sources
) -> Verdict:
  binding = project.file.gates.get(name)
  if binding is None:
    return Verdict(stage, gate, name, State.UNBOUND)
  record = reading.last(name)
  state, reasons = _state(project, binding, record, reading, sources)
  return Verdict(stage, gate, name, state, tuple(reasons), binding, record)


def _state(
  project: Project, binding: Binding, record: Record | None, reading: Reading, sources: Sources
) -> tuple[State, list[str]]:
  if record is None:
    return (State.DAMAGED if reading.problems else State.NOT_RUN), list(reading.problems)
  spoiled = reading.spoiled.get(records.digest(record))
  if reading.problems or spoiled:
    return State.DAMAGED, [*reading.problems, *filter(None, [spoiled])]
  changes = list(_changes(project, binding, record, sources))
  if record.result != records.PASSED:
    return State.FAILED, [record.reason, *changes]
  return (State.STALE if changes else State.PASSED), changes


def _changes(project: Project, binding: Binding, record: Record, sources: Sources) -> Iterable[str]:
  """What is not any more as it was when `record` was made."""
  if record.declaration != binding.digest:
    yield "the gate is declared otherwise now"
  yield from _code_changes(project, binding, record, sources)
  yield from versions.differing(record.versions, versions.pinned(project.root))
  for kind in ("weights", "data"):
    for pin in getattr(binding, kind):
      yield from _pin_changes(project.root, pin, getattr(record, kind).get(pin.path, "none"))


def _code_changes(
  project: Project, binding: Binding, record: Record, sources: Sources
) -> Iterable[str]:
  try:
    scope = project.scope(binding, sources)
  except UserError as error:
    yield str(error)
    return
  if scope.digest != record.code:
    yield _named_changes(project.ledger.code_of(record), scope.brief)


def _named_changes(then: Mapping[str, str], now: Mapping[str, str]) -> str:
  names = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
  more = f" and {len(names) - 3} more" if len(names) > 3 else ""
  return f"changed since: {', '.join(names[:3])}{more}"


def _pin_changes(root: Path, pin: Pin, then: str) -> Iterable[str]:
  if then != pin.sha256:
    yield f"{pin.path}: it was run with others ({then[:12]}, now {pin.sha256[:12]} is asked for)"
  if (root / pin.path).exists() and tree_digest(root / pin.path) != pin.sha256:
    yield f"{pin.path}: what is there is not what is pinned"
