"""A defect planted in one place names this place, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from official.layers.convolution import Conv2D
from official.parity import session
from official.parity.recording.header import TapInfo
from official.parity.stages.localize import Graph
from tests.official.parity import toys
from tests.official.parity.toys import Defects


class Same(Conv2D):
  """TensorFlow's own padding."""

  def convolution_op(self, inputs, kernel):
    return tf.nn.conv2d(inputs, kernel, self.strides, "SAME")


class Transposed(Conv2D):
  def convolution_op(self, inputs, kernel):
    return super().convolution_op(inputs, tf.transpose(kernel, [1, 0, 2, 3]))


class Swapped(Conv2D):
  """Hands on [b, w, h, c]."""

  def convolution_op(self, inputs, kernel):
    return tf.transpose(super().convolution_op(inputs, kernel), [0, 2, 1, 3])


class Late(Conv2D):
  """Loses its gradient by half."""

  def convolution_op(self, inputs, kernel):
    return halved(super().convolution_op(inputs, kernel))


@tf.custom_gradient
def halved(x):
  return x, lambda upstream: 0.5 * upstream


def not_a_number(a, b):
  return tf.where(tf.range(6) == 2, tf.constant(np.nan, a.dtype), a + b)


def detached(outputs, targets):
  error = outputs - targets
  return tf.reduce_mean(tf.stop_gradient(error) * error)


PLANTED = {
  "epsilon": (Defects(epsilon=1e-3), "forward", "norm"),
  "small epsilon": (Defects(epsilon=1.1e-5), "forward", "norm"),
  "slope": (Defects(slope=0.2), "forward", "act"),
  "padding": (Defects(stem=Same), "forward", "stem"),
  "kernel": (Defects(stem=Transposed), "forward", "stem"),
  "other shape": (Defects(stem=Swapped), "forward", "stem"),
  "activation": (Defects(act="swish"), "forward", "block/act"),
  "residual": (Defects(glue=lambda a, b: a), "forward", "block"),
  "not a number": (Defects(glue=not_a_number), "forward", "block"),
  "momentum": (Defects(momentum=0.9), "forward", "norm"),
  "loss": (
    Defects(squared=lambda o, t: tf.reduce_sum((o - t) ** 2)),
    "loss",
    "squared",
  ),
  "loss weight": (Defects(weight=0.25), "loss", "total"),
  "loss gradient": (Defects(squared=detached), "gradients", "squared"),
  "gradient": (Defects(stem=Late), "gradients", "stem"),
  "residual gradient": (
    Defects(glue=lambda a, b: a + tf.stop_gradient(b)),
    "gradients",
    "block",
  ),
  "branch gradient": (Defects(glue=lambda a, b: tf.stop_gradient(a) + b), "gradients", "block"),
  "gradient between layers": (Defects(backward=halved), "gradients", "(model)"),
  "decay exclusion": (
    Defects(decay=lambda n: toys.DECAY if n.endswith("kernel") or n == "head/bias" else 0.0),
    "optimizer",
    "head/bias",
  ),
  "decay": (Defects(decay=lambda name: 0.0), "optimizer", "optimizer"),
  "momentum of the optimizer": (Defects(sgd_momentum=0.8), "trajectory", "optimizer"),
  "schedule": (
    Defects(schedule=lambda step: toys.RATE / (1 + step) if step < 2 else toys.RATE),
    "trajectory",
    "learning_rate",
  ),
  "average": (Defects(average=0.99), "trajectory", "average"),
  "image mean": (Defects(mean=0.45), "preprocess", "preprocess"),
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
  """The original, recorded once."""
  path = tmp_path_factory.mktemp("recording") / "toy.safetensors"
  session.record(toys.case(), path, steps=5)
  return path


@pytest.mark.parametrize("name", PLANTED)
def test_planted_defects_are_caught_and_placed(name, recording):
  defects, stage, layer = PLANTED[name]
  result = session.run(toys.case(defects), diagnoses=0, steps=2, recording=recording)
  assert not result.same
  assert [(s.name, b.layer) for s in result.stages for b in s.blames] == [(stage, layer)]


@pytest.mark.parametrize("name", ["slope", "padding", "residual", "loss"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_planted_defects_above_the_noise_are_caught_and_placed(name, precision):
  defects, stage, layer = PLANTED[name]
  result = session.run(toys.case(defects), precision, diagnoses=0, steps=1)
  assert not result.same
  assert [(s.name, b.layer) for s in result.stages for b in s.blames] == [(stage, layer)]


def test_a_defect_in_the_third_step_of_five(recording):
  """PaDiff compares the first only."""
  schedule = lambda step: toys.RATE / (1 + step) * (1.001 if step == 2 else 1)
  case = toys.case(Defects(schedule=schedule))
  result = session.run(case, diagnoses=0, steps=5, recording=recording)
  trajectory = next(stage for stage in result.stages if stage.name == "trajectory")
  led = {f.phase for f in trajectory.findings if f.forced_status and not f.forced_status.passes}
  assert led == {"step2", "step3"}  # The rate is told one step ahead.
  assert result.first_blame.finding.phase == "step2"
  assert result.stages[4].same


def test_two_defects_are_both_named_once(recording):
  case = toys.case(Defects(epsilon=1e-3, act="swish"))
  result = session.run(case, diagnoses=0, steps=1, recording=recording)
  assert [b.layer for s in result.stages for b in s.blames] == ["norm", "block/act"]
  forward = result.stages[1]
  wrong = {f.name for f in forward.findings if f.forced_status and not f.forced_status.passes}
  assert wrong == {"norm", "block/act"}
  inherited = {f.name for f in forward.findings if not f.status.passes} - wrong
  assert inherited == {"act", "block/conv", "block", "head", "(model)"}


def test_what_the_trainer_keeps_to_itself_shows_in_free_running(recording):
  """Steps from the original's state agree; left alone, a hidden counter goes wrong."""

  class Hidden(toys.OurTrainer):
    def step(self, batch):
      self.calls = getattr(self, "calls", 0) + 1
      scaled = {n: x * (1.01 if n == "t" and self.calls == 2 else 1.0) for n, x in batch.items()}
      return super().step(scaled)

  def candidate(precision):
    side = toys.candidate(precision, Defects())
    return toys.dataclasses.replace(
      side, trainer=lambda: Hidden(side.network, side.losses, Defects())
    )

  result = session.run(toys.case(candidate=candidate), diagnoses=0, steps=2, recording=recording)
  assert not result.same
  assert [s.name for s in result.stages if not s.same] == ["trajectory"]


def test_where_a_defect_hides_in_unpaired_layers_they_are_named(recording):
  taps = (toys.TapRule("{path}", "{path}"),)
  excuses = toys.case().excuses + tuple(
    toys.Excuse(f"output/block{mark}{{x}}", "inside the block") for mark in "./"
  )
  case = toys.case(Defects(act="swish"), taps=taps, excuses=excuses)
  result = session.run(case, diagnoses=0, stages=["forward"], recording=recording)
  (blame,) = result.stages[1].blames
  assert (blame.layer, blame.region) == ("block", ("block/conv", "block/act"))


def test_a_parameter_that_is_frozen(recording):
  def candidate(precision):
    side = toys.candidate(precision, Defects())
    side.network.head.trainable = False
    return side

  case = toys.case(candidate=candidate)
  result = session.run(case, diagnoses=0, stages=["gradients"], recording=recording)
  assert not result.same
  (blame,) = (result.first_blame,)
  assert blame.layer == "head"
  assert "frozen" in blame.finding.reason


def tap(order, name, parent="", inputs=(), leaf=""):
  return TapInfo(name, name, 0, leaf, "L", parent, order, (1,), "float64", inputs)


class TestGraph:
  # x → a → block(b → c → +a) → d, all within the model.
  TAPS = (
    tap(0, "a", "(model)"),
    tap(1, "block/b", "block", ("a",)),
    tap(2, "block/c", "block", ("block/b",)),
    tap(3, "block", "(model)", ("a",)),
    tap(4, "d", "(model)", ("block",)),
    tap(5, "(model)"),
  )
  GRAPH = Graph(TAPS, {"a", "block", "d", "(model)"})

  def readers(self, name):
    inner, around = self.GRAPH.readers(name)
    return [t.name for t in inner], [t.name for t in around]

  def test_readers(self):
    assert self.readers("a") == (["block/b"], ["block", "(model)"])
    assert self.readers("block/b") == (["block/c"], ["block"])
    assert self.readers("block") == (["d"], ["(model)"])
    assert self.readers("(model)") == ([], [])

  def test_what_nothing_reads_as_it_is(self):
    """c is added to a by the block itself; d is the model's own output."""
    assert self.readers("block/c") == ([], ["block"])
    assert self.readers("d") == ([], ["(model)"])

  def test_what_a_glue_hands_on_may_be_read_by_what_comes_later(self):
    taps = (tap(0, "a", "(model)"), tap(1, "b", "(model)"), tap(2, "(model)"))
    inner, around = Graph(taps, ()).readers("a")
    assert [t.name for t in (*inner, *around)] == ["b", "(model)"]

  def test_region(self):
    assert self.GRAPH.region(self.TAPS[3]) == ("block/b", "block/c")
    assert self.GRAPH.region(self.TAPS[4]) == ()
