"""Asks why a blamed layer, loss, optimizer … differs, with the evidence of the run."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from official.parity import trajectory
from official.parity.comparison import Comparison
from official.parity.diagnosis import engine
from official.parity.diagnosis.evidence import LossEvidence, OptimizerEvidence, PreprocessEvidence
from official.parity.images import IMAGE
from official.parity.keras_state import prepared
from official.parity.keras_taps import Taps
from official.parity.keys import Key
from official.parity.layer_evidence import LayerEvidenceOf
from official.parity.recorder import Pass
from official.parity.result import Blame, Diagnosis
from official.parity.trajectory import State

_RATE = ("rate", "learning_rate")


class Diagnostician:
  """Diagnoses blames of one run.

  Args:
    comparison: of the run, with whole arrays of the original.
  """

  def __init__(self, comparison: Comparison) -> None:
    self._comparison = comparison
    self._golden = comparison.original.golden

  def diagnose(self, stage: str, blame: Blame) -> Blame:
    """`blame` with what may have caused it, best first; as it is where nothing can be tried."""
    kinds: dict[tuple[str, str], Callable[[Blame], Iterable[Diagnosis]]] = {
      ("forward", "output"): self._output,
      ("forward", "buffer"): self._statistics,
      ("loss", "loss"): self._loss,
      ("gradients", "term_gradient"): self._loss,
      ("gradients", "upstream"): self._gradient,
      ("gradients", "gradient"): self._gradient,
      ("preprocess", "array"): self._preprocess,
    }
    find = kinds.get((stage, blame.finding.section))
    if stage in ("optimizer", "trajectory"):
      find = self._optimizer
    if find is None:
      return blame
    diagnoses = tuple(find(blame))
    line = next((diagnosis.line for diagnosis in diagnoses if diagnosis.line), "")
    return dataclasses.replace(blame, diagnoses=diagnoses, line=line)

  def _output(self, blame: Blame) -> Iterable[Diagnosis]:
    if not np.isfinite(blame.finding.forced_error or 0.0):
      return ()  # Another shape: nothing can be held against it.
    evidence = LayerEvidenceOf(self._comparison, blame.finding.phase).forward(blame)
    return engine.diagnose_layer(evidence)

  def _gradient(self, blame: Blame) -> Iterable[Diagnosis]:
    evidence = LayerEvidenceOf(self._comparison, "train").backward(blame)
    return engine.diagnose_layer(evidence) if evidence else ()

  def _statistics(self, blame: Blame) -> Iterable[Diagnosis]:
    evidence = LayerEvidenceOf(self._comparison, "train").statistics(blame)
    return engine.diagnose_statistics(evidence) if evidence else ()

  def _loss(self, blame: Blame) -> Iterable[Diagnosis]:
    candidate = self._comparison.candidate
    batch = candidate.recorder.tensors(candidate.inputs())
    images = {len(array) for array in candidate.inputs().values() if array.ndim}
    return engine.diagnose_loss(
      LossEvidence(
        function=candidate.side.losses,
        outputs=self._forced_outputs(batch),
        batch=batch,
        terms=self._golden.section("train", "loss"),
        counts={"images": float(images.pop())} if len(images) == 1 else {},
        limit=blame.finding.limit,
      )
    )

  def _forced_outputs(self, batch: Any) -> Any:
    """What the candidate's losses are given when its network puts out the original's values."""
    candidate = self._comparison.candidate
    network, values = candidate.side.network, LayerEvidenceOf(self._comparison, "train").values()
    with prepared(network, candidate.seed), Taps(network, Pass("train", None), values):
      return candidate.side.forward(batch, True)

  def _optimizer(self, blame: Blame) -> Iterable[Diagnosis]:
    comparison = self._comparison
    step = max(int(blame.finding.phase.removeprefix("step")), 1)
    before, after = comparison.state(step - 1), comparison.state(step)
    led = trajectory.read_state(comparison.runs.led, step)
    return engine.diagnose_optimizer(
      OptimizerEvidence(
        step=step - 1,
        gradients=comparison.candidate.gradients(step, before),
        before=_section(before, "parameter"),
        reference=_section(after, "parameter"),
        candidate=_section(led, "parameter"),
        slots_before=_section(before, "slot"),
        reference_slots=_section(after, "slot"),
        candidate_slots=_section(led, "slot"),
        rates=_rates(after, led),
        limit=blame.finding.limit,
      )
    )

  def _preprocess(self, blame: Blame) -> Iterable[Diagnosis]:
    key = Key("preprocess", "array", blame.finding.name)
    return engine.diagnose_preprocess(
      PreprocessEvidence(
        image=self._golden.read(IMAGE),
        reference=self._comparison.candidate.laid_out(key.name, self._golden.read(key)),
        candidate=self._comparison.free.read(key),
        limit=blame.finding.limit,
      )
    )


def _section(state: State, section: str) -> dict[str, np.ndarray]:
  return {name: array for (own, name), array in state.items() if own == section}


def _rates(original: State, candidate: State) -> tuple[float, float] | None:
  if _RATE in original and _RATE in candidate:
    return float(original[_RATE]), float(candidate[_RATE])
  return None
