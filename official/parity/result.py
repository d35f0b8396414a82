"""What a parity run finds out: plain data that localization fills in and reports draw."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any


class Status(enum.StrEnum):
  """A verdict on one pair of arrays."""

  SAME = "same"
  DIFFERENT = "different"
  NEAR_TIE = "near tie"  # A discrete choice that differs inside the noise floor.
  EXCUSED = "excused"
  UNPAIRED = "unpaired"  # Nothing to compare with, and no excuse: fails.

  @property
  def passes(self) -> bool:
    return self in (Status.SAME, Status.NEAR_TIE, Status.EXCUSED)


@dataclasses.dataclass(frozen=True)
class Finding:
  """The verdict on one pair.

  Attributes:
    stage: one of `case.STAGES`.
    section: of the key: output, upstream, gradient, loss, parameter, ….
    phase: of the key: eval, train, step3, ….
    name: the candidate's name (the original's where it is unpaired there).
    reference: the original's name; empty where unpaired.
    order: position in the candidate's execution (taps) or in its variables; reports sort by it.
    layer: class name of the candidate's layer; empty for what belongs to none.
    status: end to end.
    error: largest elementwise error, scale-aware (see `verdict`); inf where shapes, names or
      finiteness differ.
    noise: the original's own error at this place in the run's precision; 0 in float64.
    limit: what `error` may be.
    forced_error: the same with the original's values fed to this layer; None where not measured.
    forced_status: the verdict on that; None where not measured.
    reason: one line for what is not plain from the numbers: shapes, excuse, not finite, zero.
  """

  stage: str
  section: str
  phase: str
  name: str
  reference: str
  order: int
  layer: str
  status: Status
  error: float
  noise: float
  limit: float
  forced_error: float | None = None
  forced_status: Status | None = None
  reason: str = ""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
  """One tried mistake.

  Attributes:
    cause: a key of `diagnosis.causes.CAUSES`.
    sentence: what the candidate does and what the original does, with the figures.
    before: error of the blamed array as the candidate is.
    after: its error with the mistake undone.
    closes: whether `after` is within the limit.
    line: "file:line" of the operation that was changed, where it is known.
  """

  cause: str
  sentence: str
  before: float
  after: float
  closes: bool
  line: str = ""


@dataclasses.dataclass(frozen=True)
class Blame:
  """A layer whose inputs agree and whose outputs do not.

  Attributes:
    finding: the pair that gives it away.
    layer: path of the innermost layer (or loss term, variable, setting) to blame.
    region: paths of unpaired layers that ran since the last agreeing tap and may be to blame too.
    line: "file:line" of the operation, where it is known.
    diagnoses: best first.
  """

  finding: Finding
  layer: str
  region: tuple[str, ...] = ()
  line: str = ""
  diagnoses: tuple[Diagnosis, ...] = ()


@dataclasses.dataclass(frozen=True)
class Stage:
  """One stage's outcome; `skipped` says why it did not run, empty if it did."""

  name: str
  findings: Sequence[Finding] = ()
  blames: Sequence[Blame] = ()
  skipped: str = ""
  seconds: float = 0.0

  @property
  def same(self) -> bool:
    return all(finding.status.passes for finding in self.findings)


@dataclasses.dataclass(frozen=True)
class Result:
  """A whole run.

  Attributes:
    case: the case's name.
    precision: of the run.
    seed: of weights and batch.
    stages: in the order in which they ran.
    settings: rows (name, the original's value, the candidate's) of hyper-parameters that differ.
    environment: versions, hashes of weights and batch, of both sides.
    determinism: what was proved about both sides before anything was compared, a sentence each.
    weights: rows (source names, target, transform, shape) of the transfer.
    coverage: section → (compared, excused, unpaired) counts.
  """

  case: str
  precision: str
  seed: int
  stages: Sequence[Stage]
  settings: Sequence[tuple[str, Any, Any]] = ()
  environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  determinism: Sequence[str] = ()
  weights: Sequence[tuple[str, str, str, str]] = ()
  coverage: Mapping[str, tuple[int, int, int]] = dataclasses.field(default_factory=dict)

  @property
  def same(self) -> bool:
    """Whether every stage passed and at least one pair was compared: nothing found is no proof."""
    ran = [stage for stage in self.stages if not stage.skipped]
    findings = [finding for stage in ran for finding in stage.findings]
    compared = any(finding.status is not Status.EXCUSED for finding in findings)
    return compared and all(stage.same for stage in ran)

  @property
  def first_blame(self) -> Blame | None:
    """The first divergence of the first stage that found one."""
    return next((blame for stage in self.stages for blame in stage.blames), None)
