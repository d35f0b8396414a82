"""Asks why a blamed layer, loss, optimizer … differs, with the evidence of the run."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from official.parity.comparing.layouts import LayoutError
from official.parity.diagnosis import engine
from official.parity.diagnosis.evidence import LossEvidence, OptimizerEvidence, PreprocessEvidence
from official.parity.keys import Key
from official.parity.recorders.keras_state import prepared
from official.parity.recorders.keras_taps import Taps
from official.parity.recorders.recorder import Pass
from official.parity.result import Blame, Diagnosis
from official.parity.sides import trajectory
from official.parity.sides.images import IMAGE
from official.parity.sides.trajectory import State
from official.parity.stages.comparison import Comparison
from official.parity.stages.layer_evidence import LayerEvidenceOf

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
    try:
      evidence = LayerEvidenceOf(self._comparison, blame.finding.phase).forward(blame)
    except LayoutError:  # Not even as many axes: nothing can be held against it.
      return ()
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
    outputs, positions = self._forced_outputs(batch)
    return engine.diagnose_loss(
      LossEvidence(
        function=candidate.side.losses,
        outputs=outputs,
        batch=batch,
        terms=self._golden.section("train", "loss"),
        term_gradients=self._term_gradients(positions),
        counts={"images": float(images.pop())} if len(images) == 1 else {},
        limit=blame.finding.limit,
      )
    )

  def _forced_outputs(self, batch: Any) -> tuple[Any, dict[str, int]]:
    """What the candidate's losses are given when its network puts out the original's values, and
    the places of the network's own outputs in it, by tap."""
    candidate = self._comparison.candidate
    network, values = candidate.side.network, LayerEvidenceOf(self._comparison, "train").values()
    taps = Taps(network, Pass("train", None), values)
    with prepared(network, candidate.seed), taps:
      outputs = candidate.side.forward(batch, True)
    places = {id(tensor): n for n, tensor in enumerate(tf.nest.flatten(outputs))}
    own = {tap: places.get(id(tensor)) for tap, tensor in taps.own_outputs.items()}
    return outputs, {tap: place for tap, place in own.items() if place is not None}

  def _term_gradients(self, positions: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The original's gradients of terms with respect to the network's own outputs."""
    found = {}
    for match in self._comparison.matcher.of_term_gradients("gradients"):
      term, _, tap = match.name.partition("|")
      array = match.original(self._golden, ()) if tap in positions else None
      if array is not None:
        found[f"{term}|{positions[tap]}"] = array
    return found

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
        averages_before=_section(before, "average"),
        reference_averages=_section(after, "average"),
        candidate_averages=_section(led, "average"),
        rates=_rates(before, trajectory.read_state(comparison.runs.led, step - 1)),
        next_rates=_rates(after, led),
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
