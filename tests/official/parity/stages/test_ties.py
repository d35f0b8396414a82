"""Choices: a margin inside the noise is a near tie, and the run goes on with the original's."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch

from official.checkpoints.rules import Rule
from official.parity import session
from official.parity.case import ParityCase, Side, TapRule
from official.parity.result import Status
from tests.official.parity import toys


class Pick(torch.nn.Module):
  """Indices of the two largest scores, the first of equal ones first."""

  def forward(self, scores):
    return torch.argsort(scores, dim=1, descending=True, stable=True)[:, :2]


class Network(torch.nn.Module):
  def __init__(self, tied):
    super().__init__()
    self.score = torch.nn.Linear(6, 5)
    self.pick = Pick()
    self.value = torch.nn.Linear(6, 5)
    if tied:
      with torch.no_grad():
        self.score.weight[3] = self.score.weight[1]
        self.score.bias[:] = torch.tensor([-9.0, 0, -9, 0, -9])

  def forward(self, x):
    chosen = self.pick(self.score(x))
    return torch.gather(self.value(x), 1, chosen)


class OurPick(tf_keras.layers.Layer):
  def __init__(self, pick, **kwargs):
    super().__init__(**kwargs)
    self.pick = pick

  def call(self, scores):
    return self.pick(scores)


class OurNetwork(tf_keras.Model):
  def __init__(self, pick):
    super().__init__(name="network")
    self.score = tf_keras.layers.Dense(5, name="score")
    self.pick = OurPick(pick, name="pick")
    self.value = tf_keras.layers.Dense(5, name="value")

  def call(self, x, training=False):
    chosen = self.pick(self.score(x))
    return tf.gather(self.value(x), chosen, batch_dims=1)


def first(scores):
  return tf.argsort(scores, 1, "DESCENDING", stable=True)[:, :2]


def last(scores):
  """The last of equal ones first."""
  return 4 - tf.argsort(scores[:, ::-1], 1, "DESCENDING", stable=True)[:, :2]


def worst(scores):
  return tf.argsort(scores, 1, "ASCENDING", stable=True)[:, :2]


def case(pick, tied=True, choices=("pick",)):
  def original(precision, seed):
    torch.manual_seed(seed)
    network = Network(tied).to(getattr(torch, precision))
    losses = lambda outputs, batch: {"total": (outputs**2).mean()}
    return Side(network, lambda batch, training: network(batch["x"]), losses)

  def candidate(precision):
    tf_keras.mixed_precision.set_global_policy(precision)
    network = OurNetwork(pick)
    network(tf.zeros((1, 6), precision))
    tf_keras.mixed_precision.set_global_policy("float32")
    losses = lambda outputs, batch: {"total": tf.reduce_mean(outputs**2)}
    return Side(network, lambda batch, training: network(batch["x"], training=training), losses)

  return ParityCase(
    name="toys/pick",
    reference=original,
    candidate=candidate,
    weights=(Rule("{l}.weight", "{l}/kernel", "linear"), Rule("{l}.bias", "{l}/bias")),
    taps=(TapRule("{path*}", "{path*}"),),
    batch=lambda seed: {"x": np.random.default_rng(seed).normal(size=(3, 6))},
    choices=choices,
  )


def statuses(result, name):
  return {
    (f.status, f.forced_status)
    for stage in result.stages
    for f in stage.findings
    if f.name == name and f.section == "output"
  }


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_near_tie_passes_and_what_follows_is_the_originals(precision):
  result = session.run(case(last), precision, diagnoses=0)
  assert result.same
  assert statuses(result, "pick") == {(Status.NEAR_TIE, Status.NEAR_TIE)}
  assert statuses(result, "(model)") == {(Status.SAME, Status.SAME)}


def test_clear_choices_are_the_same():
  result = session.run(case(last, tied=False), diagnoses=0)
  assert result.same
  assert statuses(result, "pick") == {(Status.SAME, Status.SAME)}


def test_another_choice_is_different():
  result = session.run(case(worst, tied=False), diagnoses=0)
  assert [b.layer for s in result.stages for b in s.blames] == ["pick"]
  assert statuses(result, "pick") == {(Status.DIFFERENT, Status.DIFFERENT)}


def test_what_is_not_declared_a_choice_is_none():
  result = session.run(case(last, choices=()), diagnoses=0, stages=["forward"])
  assert [b.layer for s in result.stages for b in s.blames] == ["pick"]


def test_a_choice_that_differs_because_of_its_scores_is_no_tie():
  made = case(first, tied=False)

  def candidate(precision):
    side = made.candidate(precision)
    side.network.score.activation = tf.negative
    return side

  result = session.run(
    dataclasses.replace(made, candidate=candidate), diagnoses=0, stages=["forward"]
  )
  assert [b.layer for s in result.stages for b in s.blames] == ["score"]
  assert statuses(result, "pick") == {(Status.DIFFERENT, Status.SAME)}
  assert statuses(result, "(model)") == {(Status.SAME, Status.SAME)}  # Of the original's choice.


class TestPostprocess:
  """The two best classes; the toy's head is made to have equal ones."""

  def run(self, choose, tied=True, **changes):
    def original(*args):
      side = toys.original(*args)
      if tied:
        with torch.no_grad():
          side.network.head.weight[3] = side.network.head.weight[1]
          side.network.head.bias[:] = torch.tensor([-9.0, 0, -9, 0, -9])
      return side

    def candidate(precision):
      side = toys.candidate(precision, toys.Defects())
      return dataclasses.replace(side, postprocess=lambda outputs: choose(outputs[""]))

    made = toys.case(reference=original, candidate=candidate, **changes)
    result = session.run(made, diagnoses=0, stages=["forward", "postprocess"])
    return result, {f.name: f.status for f in result.stages[-1].findings}

  @staticmethod
  def last(logits):
    order = 4 - np.argsort(-logits[:, ::-1], axis=1, kind="stable")[:, :2]
    return {"classes": order, "scores": np.take_along_axis(logits, order, 1)}

  def test_a_near_tie(self):
    result, found = self.run(self.last)
    assert result.same
    assert found == {"classes": Status.NEAR_TIE, "scores": Status.SAME}

  def test_not_a_tie(self):
    result, found = self.run(lambda logits: toys.top(-logits), tied=False)
    assert not result.same
    assert found == {"classes": Status.DIFFERENT, "scores": Status.DIFFERENT}
    assert [b.layer for s in result.stages for b in s.blames] == ["postprocess"]

  def test_not_declared(self):
    result, found = self.run(self.last, choices=())
    assert not result.same
    assert found["classes"] == Status.DIFFERENT

  def test_another_dtype_is_no_tie(self):
    floats = lambda logits: {n: a.astype(float) for n, a in self.last(logits).items()}
    assert self.run(floats)[1]["classes"] == Status.DIFFERENT
