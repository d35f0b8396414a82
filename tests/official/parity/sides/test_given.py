"""What happens between layers is not blamed on the layers."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch

from official.checkpoints.rules import Rule
from official.parity import session
from official.parity.case import Excuse, ParityCase, Side, TapRule
from official.parity.recorders.keras_recorder import KerasRecorder
from official.parity.recorders.torch_recorder import TorchRecorder
from official.parity.recording.header import Header
from official.parity.recording.reader import Recording
from official.parity.recording.writer import RecordingWriter
from tests.official.parity import toys
from tests.official.parity.toys import Defects


def blames(case, precision="float64", stages=("forward",)):
  result = session.run(case, precision, stages=stages, diagnoses=0)
  return [(s.name, b.layer) for s in result.stages for b in s.blames]


@pytest.mark.parametrize("precision", ["float64", "float32", "bfloat16"])
def test_a_value_changed_between_two_layers_is_blamed_on_their_caller(precision):
  case = toys.case(Defects(backward=lambda x: 1.25 * x))
  assert blames(case, precision) == [("forward", "(model)")]


def test_a_layer_that_is_given_what_it_should_be_is_to_blame_itself():
  case = toys.case(Defects(act="swish"))
  assert blames(case) == [("forward", "block/act")]


class Original(torch.nn.Module):
  """Two layers that read sums; queries have positions, as in DETR."""

  def __init__(self):
    super().__init__()
    self.inner = torch.nn.ModuleDict(
      {"query": torch.nn.Linear(4, 4), "value": torch.nn.Linear(4, 4)}
    )
    self.last = torch.nn.Linear(4, 3)

  def forward(self, x, positions):
    return self.last(self.inner["query"](x + positions) + self.inner["value"](x))


class Ours(tf_keras.layers.Layer):
  """`given` makes what `query` and `value` are given."""

  def __init__(self, given, wrapped):
    super().__init__(dtype="float64")
    self.query = tf_keras.layers.Dense(4, name="query", dtype="float64")
    self.value = tf_keras.layers.Dense(4, name="value", dtype="float64")
    self.last = tf_keras.layers.Dense(3, name="last", dtype="float64")
    self.adding = (
      tf_keras.layers.Lambda(given, name="adding", dtype="float64") if wrapped else given
    )

  def call(self, x, positions):
    query, value = self.adding([x, positions])
    return self.last(self.query(query) + self.value(value))


def _right(given):
  x, positions = given
  return x + positions, x


def _positions_everywhere(given):
  x, positions = given
  return x + positions, x + positions


def attention(given, wrapped=False):
  def original(precision, seed):
    torch.manual_seed(seed)
    network = Original().double()
    return Side(network, lambda batch, training: network(batch["x"], batch["positions"]))

  def candidate(precision):
    network = Ours(given, wrapped)
    network(tf.zeros([1, 5, 4], tf.float64), tf.zeros([1, 5, 4], tf.float64))
    return Side(network, lambda batch, training: network(batch["x"], batch["positions"]))

  names = (("inner.query", "query"), ("inner.value", "value"), ("last", "last"))
  return ParityCase(
    name="toys/attention",
    reference=original,
    candidate=candidate,
    weights=tuple(
      rule
      for theirs, ours in names
      for rule in (
        Rule(f"{theirs}.weight", f"{ours}/kernel", "linear"),
        Rule(f"{theirs}.bias", f"{ours}/bias"),
      )
    ),
    taps=(*(TapRule(*pair) for pair in names), TapRule("(model)", "(model)")),
    batch=lambda seed: {
      name: np.random.default_rng(seed + i).normal(size=(2, 5, 4))
      for i, name in enumerate(("x", "positions"))
    },
    excuses=(Excuse("output/adding:{i}", "ours alone"),) if wrapped else (),
  )


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_same_sums_pass(wrapped):
  assert blames(attention(_right, wrapped)) == []


def test_a_value_that_another_layer_should_have_is_blamed_on_the_caller():
  assert blames(attention(_positions_everywhere)) == [("forward", "(model)")]


def test_a_layer_without_a_pair_that_made_the_value_is_to_blame():
  assert blames(attention(_positions_everywhere, wrapped=True)) == [("forward", "adding")]


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_recordings_hold_what_calls_were_given_and_is_no_tap(tmp_path, framework):
  case = attention(_right)
  if framework == "torch":
    recorder = TorchRecorder(case.reference("float64", 0))
    query, value, last = "inner.query|0.0", "inner.value|0.0", "last|0.0"
  else:
    recorder = KerasRecorder(case.candidate("float64"))
    query, value, last = "query|0.0", "value|0.0", "last|0.0"
  header = Header("reference", framework, {}, "float64", 0)
  with RecordingWriter(tmp_path / "r.safetensors", header) as writer:
    recorder.record(case.batch(3), writer, ["eval"])
  given = Recording(tmp_path / "r.safetensors").section("eval", "input")
  batch = case.batch(3)
  assert set(given) == {"(model)|0.0", "(model)|0.1", query, value, last}
  np.testing.assert_allclose(given[query], batch["x"] + batch["positions"], rtol=1e-15)
  np.testing.assert_array_equal(given[value], batch["x"])
