"""A whole run: record both sides, transfer, compare stage by stage, localize, diagnose."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from official.checkpoints.transfer import TransferError
from official.cli.errors import UserError
from official.parity.case import STAGES, ParityCase, Side
from official.parity.comparing.excuses import Excuses
from official.parity.comparing.layouts import LayoutError
from official.parity.diagnosis.hypotheses.transfers import diagnose_transfer
from official.parity.recording import disk
from official.parity.report.arrays import BlamedArrays, finding_key
from official.parity.result import Blame, Finding, Result, Stage, Status
from official.parity.sides import original, stage_names, trajectory
from official.parity.sides.candidate import Candidate
from official.parity.sides.original import Original, Tell, record, silent
from official.parity.stages import structure
from official.parity.stages.comparison import Comparison
from official.parity.stages.diagnosing import Diagnostician
from official.parity.stages.runner import Stages

__all__ = ["Outcome", "examine", "record", "run"]


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What a run leaves: the result, and both sides' arrays of the blamed findings."""

  result: Result
  arrays: tuple[BlamedArrays, ...] = ()


def run(
  case: ParityCase,
  precision: str = "float64",
  *,
  stages: Sequence[str] | None = None,
  steps: int = 3,
  seed: int = 0,
  recording: Path | None = None,
  workdir: Path | None = None,
  diagnoses: int = 3,
  tell: Tell = silent,
) -> Result:
  """Says whether the candidate of `case` is its original, and where and why it is not.

  Args:
    case: what is to be proven equal.
    precision: one of `case.PRECISIONS`, of both sides; the golden side is always float64.
    stages: some of `case.STAGES`; None: all that the case's sides make possible. A stage that is
      named and not possible is an error.
    steps: training steps of the trajectory; the optimizer stage is the first of them.
    seed: of the original's random weights, of the batch (step j, from 1, trains on
      `batch(seed + j - 1)`), and
      of whatever else is drawn.
    recording: made by `record` of the same case, precision and seed; the original is then not run,
      and torch is not imported. None: `case.recorded`, or else the original is recorded; that is
      done in `workdir`, and removed afterwards.
    workdir: where recordings are kept while the run lasts; None: the system's temporary directory.
    diagnoses: how many blames are diagnosed, first ones first; 0 diagnoses none.
    tell: is told what begins.

  Raises:
    UserError: the case is at fault (unknown stage, a side that is not deterministic), the recording
      does not fit the case, or the disk is too small.
  """
  return examine(
    case,
    precision,
    stages=stages,
    steps=steps,
    seed=seed,
    recording=recording,
    workdir=workdir,
    diagnoses=diagnoses,
    tell=tell,
  ).result


def examine(
  case: ParityCase,
  precision: str = "float64",
  *,
  stages: Sequence[str] | None = None,
  steps: int = 3,
  seed: int = 0,
  recording: Path | None = None,
  workdir: Path | None = None,
  diagnoses: int = 3,
  tell: Tell = silent,
) -> Outcome:
  """As `run`, with the arrays of what was blamed."""
  stage_names.check_precision(precision)
  stage_names.checked(stages)
  excuses = Excuses(case.excuses)
  with tempfile.TemporaryDirectory(prefix="parity-", dir=workdir) as name:
    directory = Path(name)
    if recording is None and case.recorded:
      recording = case.recorded(precision, seed, directory)
    if recording is None:
      recording = directory / "original.safetensors"
      record(case, recording, precision, stages=stages, steps=steps, seed=seed, tell=tell)
    both = Original.open(recording, case.name, precision, seed)
    return _Session(case, both, directory, stages, steps, excuses, diagnoses, tell).outcome()


class _Session:
  """One run, its original recorded."""

  def __init__(
    self,
    case: ParityCase,
    both: Original,
    directory: Path,
    stages: Sequence[str] | None,
    steps: int,
    excuses: Excuses,
    diagnoses: int,
    tell: Tell,
  ) -> None:
    self._tell = tell
    self._case, self._original, self._directory = case, both, directory
    self._excuses, self._diagnoses = excuses, diagnoses
    self._everything = stages is None
    recorded = both.own.notes["stages"]
    self._stages = stage_names.chosen(stages, recorded, f"the original, {both.own.path.name},")
    self._steps = self._checked_steps(steps)

  def _checked_steps(self, steps: int) -> int:
    wanted = stage_names.steps(self._stages, steps)
    recorded = trajectory.count_steps(self._original.own)
    if wanted > recorded:
      raise UserError(f"{self._original.own.path} has {recorded} training steps, not {wanted}")
    return wanted

  def outcome(self) -> Outcome:
    """Records the candidate and runs all stages."""
    self._tell("recording the candidate")
    own = self._original.own.path
    # By itself, and on the original's values.
    disk.require(self._directory, 2 * own.stat().st_size, "recording the candidate")
    try:
      candidate = Candidate(self._case, self._original.own, self._directory)
    except TransferError as error:
      return Outcome(self._result([_untransferred(error)]))
    comparison, stages, rows = self._compared(candidate)
    stages = self._diagnosed(comparison, stages)
    return Outcome(
      self._result(stages, comparison, rows), tuple(_blamed_arrays(comparison, stages))
    )

  def _compared(self, candidate: Candidate) -> tuple[Comparison, list[Stage], structure.Rows]:
    lacking = self._lacking(candidate.side)
    comparison = Comparison(
      self._case,
      self._original,
      candidate,
      [name for name in self._stages if name not in lacking],
      self._steps,
      self._excuses,
    )
    rows = structure.settings_rows(
      self._original.own.notes["settings"], original.plain(candidate.side.settings)
    )
    runner = Stages(self._case, comparison, rows)
    names = [name for name in STAGES if name in (*self._stages, *lacking)]
    stages = []
    for name in names:
      self._tell(name)
      one_sided = name in lacking
      stages.append(_one_sided(name, lacking[name]) if one_sided else runner.run(name))
    if set(self._original.own.notes["possible"]) <= set(comparison.stages):
      stale = structure.stale_excuses(self._excuses)
      stages[0] = dataclasses.replace(stages[0], findings=[*stages[0].findings, *stale])
    return comparison, stages, rows

  def _lacking(self, side: Side) -> dict[str, str]:
    """Stages that only one side makes possible, with what the other lacks."""
    lacking = {
      name: f"the candidate has no {need}, the original has"
      for name in self._stages
      if (need := stage_names.lacks(name, side))
    }
    if self._everything:
      for name in stage_names.possible(side):
        if name not in self._original.own.notes["possible"]:
          lacking[name] = f"the original has nothing for the stage {name}, the candidate has"
    return lacking

  def _result(
    self,
    stages: Sequence[Stage],
    comparison: Comparison | None = None,
    rows: structure.Rows = (),
  ) -> Result:
    own = self._original.own
    sides = [own] + ([comparison.free] if comparison else [])
    return Result(
      case=self._case.name,
      precision=own.header.precision,
      seed=own.header.seed,
      stages=stages,
      settings=rows,
      environment={
        recording.header.side: {
          "framework": recording.header.framework,
          "versions": dict(recording.header.versions),
          "hashes": dict(recording.hashes),
        }
        for recording in sides
      },
      determinism=[sentence for side in sides for sentence in side.notes.get("determinism", ())],
      weights=comparison.candidate.plan.rows() if comparison else (),
      coverage=_coverage(stages),
    )

  def _diagnosed(self, comparison: Comparison, stages: Sequence[Stage]) -> list[Stage]:
    """`stages` with the first blames diagnosed."""
    self._tell("diagnosing")
    left = self._diagnoses if comparison.runs.full else 0
    doctor = Diagnostician(comparison)
    done = []
    for stage in stages:
      blames = [doctor.diagnose(stage.name, blame) for blame in stage.blames[:left]]
      done.append(dataclasses.replace(stage, blames=[*blames, *stage.blames[left:]]))
      left -= len(blames)
    return done


def _untransferred(error: TransferError) -> Stage:
  findings = structure.untransferred(error)
  problems = [finding.reason for finding in findings]
  blames = [
    Blame(finding, finding.name, diagnoses=tuple(diagnose_transfer(finding.reason, problems)))
    for finding in findings
  ]
  return Stage(structure.STAGE, findings, blames)


def _one_sided(name: str, reason: str) -> Stage:
  """A stage that cannot run because one side has nothing for it: that is not the same."""
  finding = Finding(
    *(name, "stage", "init", name, "", 0, "", Status.UNPAIRED, np.inf, 0.0, 0.0), reason=reason
  )
  return Stage(name, [finding])


def _coverage(stages: Iterable[Stage]) -> dict[str, tuple[int, int, int]]:
  """Section → how many were compared, excused, unpaired."""
  counts: dict[str, list[int]] = {}
  places = {Status.EXCUSED: 1, Status.UNPAIRED: 2}
  for stage in stages:
    for finding in stage.findings:
      counts.setdefault(finding.section, [0, 0, 0])[places.get(finding.status, 0)] += 1
  return {section: (*numbers,) for section, numbers in counts.items()}


def _blamed_arrays(comparison: Comparison, stages: Iterable[Stage]) -> Iterator[BlamedArrays]:
  """Both sides' arrays of what taps put out, or were handed back, and are blamed for."""
  for blame in (blame for stage in stages for blame in stage.blames):
    finding = blame.finding
    if finding.section not in ("output", "upstream") or not comparison.runs.full:
      continue
    matches = comparison.matcher.of_taps(finding.stage, finding.phase, finding.section)
    match = next(match for match in matches if match.name == finding.name)
    ours = match.candidate(comparison.runs.forced)
    with contextlib.suppress(LayoutError):
      theirs = match.original(comparison.original.golden, () if ours is None else ours.shape)
      if ours is not None and theirs is not None:
        yield BlamedArrays(finding_key(finding), np.array(theirs), np.array(ours))
