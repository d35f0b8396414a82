"""Tries hypotheses at a layer whose inputs agree and whose outputs do not, and ranks them.

A hypothesis is one function `(subject) -> Iterator[Trial]`: it looks at the traced program for what
it knows to go wrong and yields one trial for each place and way. To add one:

    def attention_scale(subject: Subject) -> Iterator[Trial]:
      for node in subject.program.of_type("Softmax"):
        edit = {node.index: lambda inputs, look: [tf.nn.softmax(inputs[0] * 0.125)]}
        yield subject.trial("attention_scale", "scores are multiplied by 1, not by 0.125", edit)

and name it in `FORWARD` (or `BACKWARD`). Order there is rank: the tiers run from what names one
operation to what would fit many defects, and the search ends with the first tier that closes the
gap. Causes come from `causes.CAUSES`. A trial counts only if its outputs, computed with nothing but
that change, are the original's within the limit; the others are reported as what they are.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from official.parity.diagnosis.causes import CAUSES
from official.parity.diagnosis.evidence import (
  Arrays,
  LayerEvidence,
  LossEvidence,
  OptimizerEvidence,
  PreprocessEvidence,
  StatisticsEvidence,
)
from official.parity.diagnosis.hypotheses import (
  activations,
  attention,
  convolution,
  gradients,
  inputs,
  layers,
  layout,
  losses,
  masks,
  modes,
  normalization,
  optimizers,
  outputs,
  pooling,
  preprocessing,
  resampling,
  scalars,
  statistics,
  weights,
  windows,
  wiring,
)
from official.parity.diagnosis.subject import Subject, Trial, error_of
from official.parity.result import Diagnosis

Hypothesis = Callable[[Subject], Iterator[Trial]]

SECONDS = 60.0  # Of the processor, for one layer: large ones are not searched to the end.
HALF = 0.5  # What leaves more of the error than this explains nothing.
KEPT = 5  # Diagnoses that do not close the gap.

FORWARD: tuple[tuple[Hypothesis, ...], ...] = (
  (  # One operation's own number or attribute.
    normalization.epsilon,
    activations.slope,
    activations.gelu_form,
    modes.precise,
    modes.dropout,
    modes.other_mode,
    normalization.statistics,
    attention.softmax_axis,
    attention.scale_constant,
    convolution.padding,
    convolution.pad_operations,
    convolution.stride_or_dilation,
    pooling.pooling,
    pooling.reductions,
    resampling.resized,
    windows.shift,
    windows.unshifted,
    windows.mask_missing,
    masks.polarity,
    attention.qkv_order,
    wiring.concat_order,
  ),
  (  # One operation, layer or weight too many, too few, or in another's place.
    weights.elsewhere,
    weights.swapped,
    weights.rotated,
    layers.extra,
    layers.missing,
    layers.norm_first,
    layers.order,
    activations.other,
    weights.bias,
    weights.bias_missing,
    masks.extra,
    normalization.extra,
    wiring.residual,
    masks.missing,
    attention.scale_missing,
    activations.missing,
    normalization.missing,
  ),
  (  # The right operations on values in another order.
    weights.transposed,
    weights.flipped,
    weights.head_axes,
    wiring.part_order,
    layout.cut_order,
    layout.joined_unturned,
    inputs.channels,
    inputs.exchanged,
    weights.permuted,
    normalization.axes,
    layout.axes_swapped,
    inputs.axes,
  ),
  (  # Numbers.
    scalars.positions,
    scalars.constants,
    inputs.scale,
    outputs.factor,
    outputs.offset,
    scalars.inserted,
  ),
  (  # Values taken from another place.
    layers.neighbours,
    layers.inner_value,
    layers.again,
    wiring.other_term,
    layers.fed_otherwise,
  ),
  (  # What the outputs alone tell.
    outputs.channel_order,
    outputs.axes,
    outputs.rounded,
    modes.dropped_by_original,
    outputs.per_channel,
  ),
)


BACKWARD: tuple[tuple[Hypothesis, ...], ...] = (
  (gradients.frozen, gradients.let_through),
  (gradients.factor, gradients.clipped),
  (gradients.stopped, gradients.own_gradient),
)


LOSS: tuple[tuple[Hypothesis, ...], ...] = (
  (masks.polarity, gradients.let_through, losses.reductions, losses.ratios_of_sums),
  (losses.constants, losses.class_weights),
  (losses.forms, activations.other, masks.extra, gradients.stopped),
  (losses.factors, losses.totals, losses.class_weights_missing),
  (losses.inserted_forms, losses.labels, attention.softmax_axis),
)
# What a hypothesis about layers finds in a loss.
_IN_A_LOSS = {"activation_other": "loss_form"}


@dataclasses.dataclass(frozen=True)
class Examination:
  """What came of all trials.

  Attributes:
    diagnoses: best first.
    failures: (hypothesis, why it or one of its trials could not be tried).
    tried: number of trials that ran.
  """

  diagnoses: tuple[Diagnosis, ...]
  failures: tuple[tuple[str, str], ...]
  tried: int


def diagnose_layer(evidence: LayerEvidence) -> list[Diagnosis]:
  """Why the layer's outputs, or its gradients, differ; best first."""
  return list(examine(evidence).diagnoses)


def examine(evidence: LayerEvidence) -> Examination:
  """`diagnose_layer`, with what could not be tried."""
  if evidence.upstream is None:
    return _search(lambda: Subject(evidence), FORWARD, evidence.limit)
  return _search(lambda: gradients.BackwardSubject(evidence), BACKWARD, evidence.limit)


def _search(
  make: Callable[[], Subject], tiers: Sequence[Sequence[Hypothesis]], limit: float
) -> Examination:
  try:
    subject = make()
    search = Search(subject.before, limit, subject.error)
  except Exception as error:  # Any code may be blamed, and may refuse to be traced.
    return Examination((), (("tracing", _one_line(error)),), 0)
  return search.run(tiers, subject)


def diagnose_loss(evidence: LossEvidence) -> list[Diagnosis]:
  """Why a loss differs on equal outputs, or its gradients do; best first."""
  found = examine_loss(evidence).diagnoses
  return [dataclasses.replace(d, cause=_IN_A_LOSS.get(d.cause, d.cause)) for d in found]


def examine_loss(evidence: LossEvidence) -> Examination:
  """`diagnose_loss`, with what could not be tried."""
  return _search(lambda: losses.LossSubject(evidence), LOSS, evidence.limit)


def diagnose_optimizer(evidence: OptimizerEvidence) -> list[Diagnosis]:
  """Why a training step from the same state differs, best first."""
  own, other = (optimizers.arrays(evidence, side) for side in ("candidate", "reference"))
  trials = optimizers.hypotheses(evidence)
  return _diagnose_arrays(trials, own, other, evidence.limit, optimizers.section)


def diagnose_statistics(evidence: StatisticsEvidence) -> list[Diagnosis]:
  """Why a normalization's moving statistics differ, best first."""
  trials = statistics.hypotheses(evidence)
  return _diagnose_arrays(trials, evidence.candidate, evidence.reference, evidence.limit)


def diagnose_preprocess(evidence: PreprocessEvidence) -> list[Diagnosis]:
  """Why what the network is given differs, best first."""
  ours, theirs = (preprocessing.image(a) for a in (evidence.candidate, evidence.reference))
  trials = preprocessing.hypotheses(evidence)
  return _diagnose_arrays(trials, {"": ours}, {"": theirs}, evidence.limit)


def _diagnose_arrays(
  trials: Iterator[Trial],
  candidate: Arrays,
  reference: Arrays,
  limit: float,
  group: Callable[[str], str] | None = None,
) -> list[Diagnosis]:
  reference = {key: np.asarray(array) for key, array in reference.items()}

  def judge(made: Arrays) -> float:
    return error_of({key: np.asarray(array) for key, array in made.items()}, reference, group)

  search = Search(judge(candidate), limit, judge)
  return list(search.run([[lambda _: trials]], None).diagnoses)


class Search:
  """Measures trials and keeps the best."""

  def __init__(self, before: float, limit: float, error: Callable[..., float]) -> None:
    self._before, self._limit, self._error = before, limit, error
    self._found: list[Diagnosis] = []
    self._failures: list[tuple[str, str]] = []
    self._tried = 0
    self._end = time.process_time() + SECONDS

  def run(self, tiers: Sequence[Sequence[Hypothesis]], subject: Any) -> Examination:
    """Tier after tier, until one closes the gap or the time is used up."""
    for tier in tiers:
      if self._before > self._limit and not self.closed and not self.late:
        self.run_tier(tier, subject)
    return self.result()

  @property
  def closed(self) -> bool:
    """Whether a trial closed the gap."""
    return any(diagnosis.closes for diagnosis in self._found)

  @property
  def late(self) -> bool:
    """Whether the time is used up."""
    return time.process_time() > self._end

  def run_tier(self, tier: Sequence[Hypothesis], subject: Any) -> None:
    """Measures every trial of every hypothesis in `tier`."""
    for hypothesis in tier:
      try:
        for trial in hypothesis(subject):
          self._measure(hypothesis, trial)
          if self.late:
            return
      except Exception as error:  # The next hypothesis may still work; the reason is kept.
        self._failures.append((hypothesis.__name__, _one_line(error)))

  def _measure(self, hypothesis: Hypothesis, trial: Trial) -> None:
    try:
      after = self._error(trial.outputs())
    except Exception as error:  # An edit may not fit the shapes that it meets.
      self._failures.append((hypothesis.__name__, f"{trial.sentence}: {_one_line(error)}"))
      return
    self._tried += 1
    closes = after <= self._limit
    if trial.cause not in CAUSES:
      raise KeyError(f"no cause {trial.cause!r}")
    if closes or after < HALF * self._before:
      self._found.append(
        Diagnosis(trial.cause, trial.sentence, self._before, after, closes, trial.line)
      )

  def result(self) -> Examination:
    """The ranking; Python's sort keeps the order of trials that are equally good."""
    closing = [diagnosis for diagnosis in self._found if diagnosis.closes]
    others = sorted((d for d in self._found if not d.closes), key=lambda d: d.after)
    ranked = _distinct(closing) + ([] if closing else _distinct(others)[:KEPT])
    return Examination(tuple(ranked), tuple(self._failures), self._tried)


def _distinct(diagnoses: Sequence[Diagnosis]) -> list[Diagnosis]:
  """The first of each cause."""
  seen: dict[str, Diagnosis] = {}
  for diagnosis in diagnoses:
    seen.setdefault(diagnosis.cause, diagnosis)
  return list(seen.values())


def _one_line(error: Exception) -> str:
  return f"{type(error).__name__}: {error}".splitlines()[0]
