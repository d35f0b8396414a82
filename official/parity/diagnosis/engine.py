"""Tries hypotheses at a layer whose inputs agree and whose outputs do not, and ranks them.

Likewise at losses, optimizers, statistics and preprocessing, each with its evidence.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from official.parity.diagnosis.evidence import (
  Arrays,
  LayerEvidence,
  LossEvidence,
  OptimizerEvidence,
  PreprocessEvidence,
  StatisticsEvidence,
)
from official.parity.diagnosis.hypotheses import gradients, optimizers, preprocessing, statistics
from official.parity.diagnosis.hypotheses.loss_subject import LossSubject
from official.parity.diagnosis.order import BACKWARD, FORWARD, LOSS
from official.parity.diagnosis.search import Examination, Hypothesis, Search, one_line
from official.parity.diagnosis.subject import Subject, Trial, error_of
from official.parity.result import Diagnosis

# What a hypothesis about layers finds in a loss.
_IN_A_LOSS = {"activation_other": "loss_form"}


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
    return Examination((), (("tracing", one_line(error)),), 0)
  return search.run(tiers, subject)


def diagnose_loss(evidence: LossEvidence) -> list[Diagnosis]:
  """Why a loss differs on equal outputs, or its gradients do; best first."""
  found = examine_loss(evidence).diagnoses
  return [dataclasses.replace(d, cause=_IN_A_LOSS.get(d.cause, d.cause)) for d in found]


def examine_loss(evidence: LossEvidence) -> Examination:
  """`diagnose_loss`, with what could not be tried."""
  return _search(lambda: LossSubject(evidence), LOSS, evidence.limit)


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
