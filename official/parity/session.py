"""A whole run: record both sides, transfer, compare stage by stage, localize, diagnose."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from official.parity.case import ParityCase
from official.parity.report.arrays import BlamedArrays
from official.parity.result import Result


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
) -> Result:
  """Says whether the candidate of `case` is its original, and where and why it is not.

  Args:
    case: what is to be proven equal.
    precision: one of `case.PRECISIONS`, of both sides; the golden side is always float64.
    stages: some of `case.STAGES`; None: all that the case's sides make possible. A stage that is
      named and not possible is an error.
    steps: training steps of the trajectory; the optimizer stage is the first of them.
    seed: of the original's random weights, of the batch (step j trains on `batch(seed + j)`), and
      of whatever else is drawn.
    recording: made by `record` of the same case, precision and seed; the original is then not run,
      and torch is not imported. None: the original is recorded in `workdir` and the recording is
      removed afterwards.
    workdir: where recordings are kept while the run lasts; None: the system's temporary directory.
    diagnoses: how many blames are diagnosed, first ones first; 0 diagnoses none.

  Raises:
    UserError: the case is at fault (unknown stage, weights that do not transfer, a side that is not
      deterministic), the recording does not fit the case, or the disk is too small.
  """
  raise NotImplementedError


def examine(case: ParityCase, precision: str = "float64", **options: object) -> Outcome:
  """As `run`, with the arrays of what was blamed."""
  raise NotImplementedError


def record(
  case: ParityCase,
  path: Path,
  precision: str = "float64",
  *,
  stages: Sequence[str] | None = None,
  steps: int = 3,
  seed: int = 0,
) -> None:
  """Records the original of `case` for runs without it (`run(recording=path)`).

  Below float64 two files are written: `path`, the original in `precision`, and `golden_path(path)`,
  the original in float64 on the same rounded weights and inputs.

  Raises:
    UserError: the original is not deterministic, or the system refuses to write.
  """
  raise NotImplementedError
