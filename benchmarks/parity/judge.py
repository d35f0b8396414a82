"""One planted defect or clean case through the checker, and whether it said what it should."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.parity.defects.planting import Defect
from official.cli.errors import UserError
from official.parity import session
from official.parity.case import STAGES, ParityCase
from official.parity.keys import ROOT
from official.parity.result import Blame, Result

BEHIND = ("preprocess", "postprocess")  # Stages that nothing before them leads to.


@dataclasses.dataclass(frozen=True)
class Judgement:
  """What the checker made of a planted defect.

  Attributes:
    title: of the defect.
    name: of the mistake.
    case: in which it was planted.
    layer: what was to be blamed.
    cause: that was to be named first.
    stage: where it was to be caught.
    caught_at: the stage that found a difference first; empty: none did.
    blamed: what that stage blamed first.
    causes: in the order in which they were named.
    closes: whether undoing the first of them closed the gap.
    note: the first reason, or why the run was refused.
    seconds: of the run.
  """

  title: str
  name: str
  case: str
  layer: str
  cause: str
  stage: str
  caught_at: str = ""
  blamed: str = ""
  causes: tuple[str, ...] = ()
  closes: bool = False
  note: str = ""
  seconds: float = 0.0

  @property
  def caught(self) -> bool:
    return self.caught_at == self.stage

  @property
  def located(self) -> bool:
    if self.stage == "structure":  # A refusal names variables in its text.
      return self.caught and f"'{self.layer}'" in self.note
    return self.caught and self.blamed == self.layer

  @property
  def explained(self) -> bool:
    return self.caught and self.causes[:1] == (self.cause,)


def judge(defect: Defect, case: ParityCase, seed: int, recording: Path | None = None) -> Judgement:
  """Runs `case` with `defect` in it, up to the stage where it must be caught.

  Args:
    defect: what is planted.
    case: without it.
    seed: of weights and batch.
    recording: of the original, where there is one.
  """
  stages = stages_until(defect.stage)
  began = time.monotonic()
  wanted = Judgement(
    defect.title, defect.name, defect.case, defect.layer or ROOT, defect.cause, defect.stage
  )
  try:
    result = session.run(defect.plant(case), stages=stages, seed=seed, recording=recording)
  except UserError as error:
    return dataclasses.replace(wanted, note=f"refused: {error}", seconds=time.monotonic() - began)
  except Exception as error:  # A crash is a miss, and the other runs go on.
    return dataclasses.replace(wanted, note=f"crashed: {error!r}", seconds=time.monotonic() - began)
  found = _found(result)
  return dataclasses.replace(wanted, **found, seconds=time.monotonic() - began)


def stages_until(stage: str) -> tuple[str, ...]:
  """The stages up to `stage`, without those that lead nowhere."""
  if stage in BEHIND:
    return ("structure", stage)
  return tuple(name for name in STAGES[: STAGES.index(stage) + 1] if name not in BEHIND)


def _found(result: Result) -> dict[str, object]:
  """What of a `Judgement` the result tells."""
  stage = next((stage for stage in result.stages if not stage.same), None)
  if stage is None:
    return {}
  first = next(finding for finding in stage.findings if not finding.status.passes)
  blame: Blame | None = next(iter(stage.blames), None)
  found: dict[str, object] = {"caught_at": stage.name, "note": first.reason}
  if blame:
    found |= {"blamed": blame.layer, "causes": tuple(d.cause for d in blame.diagnoses)}
    found |= {"closes": bool(blame.diagnoses) and blame.diagnoses[0].closes}
  return found


@dataclasses.dataclass(frozen=True)
class Clean:
  """A case without a defect: nothing may be found.

  Attributes:
    case: its name.
    precision: of the run.
    seed: of weights and batch.
    alarm: what was found all the same; empty: nothing.
    seconds: of the run.
  """

  case: str
  precision: str
  seed: int
  alarm: str = ""
  seconds: float = 0.0


def judge_clean(case: ParityCase, name: str, precision: str, seed: int) -> Clean:
  """Runs `case` as it is, all stages."""
  began = time.monotonic()
  try:
    alarm = _alarm(session.run(case, precision, seed=seed))
  except UserError as error:
    alarm = f"refused: {error}"
  except Exception as error:  # A crash is an alarm, and the other runs go on.
    alarm = f"crashed: {error!r}"
  return Clean(name, precision, seed, alarm, time.monotonic() - began)


def _alarm(result: Result) -> str:
  findings: Sequence = [f for stage in result.stages for f in stage.findings]
  wrong = next((finding for finding in findings if not finding.status.passes), None)
  if wrong is None:
    return "" if result.same else "nothing was compared"
  figures = f"{wrong.error:.1e}, may be {wrong.limit:.1e}"
  return f"{wrong.stage} {wrong.section} {wrong.name}: {wrong.reason or figures}"
