"""Whole runs of the toy: what is the same passes, and nothing passes unseen."""

import dataclasses
import tempfile
import types

import numpy as np
import pytest
import tensorflow as tf

from official.checkpoints.rules import Ignore, Rule
from official.cli.errors import UserError
from official.parity import session, testing
from official.parity.case import STAGES, Excuse, TapRule
from official.parity.recording.tiers import Tier
from official.parity.result import Status
from tests.official.parity import toys

STRUCTURE = ("structure",)


def failing(result):
  return [f for stage in result.stages for f in stage.findings if not f.status.passes]


def run(case, **options):
  return session.run(case, **{"diagnoses": 0, "steps": 2, **options})


@pytest.mark.parametrize("precision", ["float64", "float32", "bfloat16"])
def test_a_clean_port_is_the_same(precision):
  result = run(toys.case(), precision=precision, seed=3)
  assert failing(result) == []
  assert result.same
  assert result.first_blame is None
  assert [stage.name for stage in result.stages] == list(STAGES)
  assert all(stage.findings for stage in result.stages)
  assert len(result.determinism) == 4
  assert result.coverage["output"] == (16, 0, 0)
  assert result.coverage["gradient"] == (7, 0, 0)
  assert result.coverage["rate"] == (6, 3, 0)
  versions = [result.environment[side]["versions"] for side in ("reference", "candidate")]
  assert "torch" in versions[0]
  assert "tensorflow" in versions[1]
  hashes = [result.environment[side]["hashes"] for side in ("reference", "candidate")]
  assert all(len(side["parameters"]) == 64 for side in hashes)
  assert ("stem.weight", "stem/kernel", "conv", "3 × 3 × 3 × 6") in result.weights


def test_findings_say_what_they_are_about():
  result = run(toys.case(), stages=["forward", "gradients"])
  findings = {
    (f.stage, f.phase, f.section, f.name): f for stage in result.stages for f in stage.findings
  }
  tap = findings["forward", "eval", "output", "block/act"]
  assert (tap.reference, tap.layer, tap.limit) == ("block.act", "Activation", 1e-9)
  assert tap.error < 1e-13
  assert tap.forced_error < 1e-14
  assert tap.forced_status == Status.SAME
  gradient = findings["gradients", "train", "gradient", "block/conv/bias"]
  assert (gradient.reference, gradient.layer) == ("block.conv.bias", "Conv2D")
  orders = [f.order for f in result.stages[1].findings if f.phase == "eval"]
  assert orders == sorted(orders)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
  run(toys.case(), stages=["forward"])
  with pytest.raises(RuntimeError, match="in the middle"):
    run(toys.case(toys.Defects(glue=_raise)), stages=["forward"])
  assert list(tmp_path.iterdir()) == []


def _raise(*args):
  if tf.executing_eagerly() and args[0].shape[0] == 2:
    raise RuntimeError("in the middle")
  return args[0]


class TestStages:
  def test_only_what_is_asked_for(self):
    result = run(toys.case(), stages=["loss", "forward"])
    assert [stage.name for stage in result.stages] == ["structure", "forward", "loss"]

  def test_unknown(self):
    with pytest.raises(UserError, match="no stage 'gradient'; did you mean 'gradients'"):
      run(toys.case(), stages=["gradient"])
    with pytest.raises(UserError, match="no precision 'float16'; did you mean 'bfloat16'"):
      run(toys.case(), precision="float16")

  def test_named_and_not_possible(self):
    case = toys.case(reference=lambda *args: without(toys.original(*args), "losses"))
    with pytest.raises(UserError, match="stage 'loss': the original has no losses"):
      run(case, stages=["loss"])

  @pytest.mark.parametrize("side", ["reference", "candidate"])
  @pytest.mark.parametrize("part", ["losses", "preprocess"])
  def test_what_only_one_side_has_is_not_skipped(self, side, part):
    make = {"reference": toys.original, "candidate": lambda p: toys.candidate(p, toys.Defects())}
    case = toys.case(**{side: lambda *args: without(make[side](*args), part)})
    result = run(case, stages=None, steps=1)
    assert not result.same
    stage = "loss" if part == "losses" else part
    findings = next(s for s in result.stages if s.name == stage).findings
    assert [f.status for f in findings] == [Status.UNPAIRED]
    assert "has" in findings[0].reason

  def test_what_no_side_has_is_no_stage(self):
    case = toys.case(
      reference=lambda *args: without(toys.original(*args), "losses", "trainer", "postprocess"),
      candidate=lambda p: without(
        toys.candidate(p, toys.Defects()), "losses", "trainer", "postprocess"
      ),
      choices=(),
      excuses=(),
    )
    result = run(case)
    assert result.same
    assert [s.name for s in result.stages] == ["structure", "forward", "preprocess"]


def without(side, *parts):
  return dataclasses.replace(side, **dict.fromkeys(parts))


class TestCoverage:
  def test_taps_without_a_pair_fail_on_both_sides(self):
    taps = (TapRule("block.{part}", "block/{part}"), TapRule("{path}", "{path}"))
    result = run(
      toys.case(taps=tuple(r for r in taps if "block." not in r.reference)), stages=STRUCTURE
    )
    assert {(f.name, f.status) for f in failing(result)} == {
      (name, Status.UNPAIRED) for name in ("block.conv", "block.act", "block/conv", "block/act")
    }
    assert result.coverage["output"] == (0, 0, 4)

  def test_excuses_excuse_and_are_told(self):
    excuses = tuple(Excuse(f"output/block{end}{{part}}", "seen by eye") for end in (".", "/"))
    case = toys.case()
    case = toys.case(taps=case.taps[1:], excuses=case.excuses + excuses)
    case = dataclasses.replace(case, taps=(TapRule("{path}", "{path}"),))
    result = run(case, stages=STRUCTURE)
    assert result.same
    excused = [f for f in result.stages[0].findings if f.status == Status.EXCUSED]
    assert len(excused) == 4
    assert {f.reason for f in excused} == {"seen by eye"}

  def test_excuses_without_a_reason_are_refused(self):
    with pytest.raises(UserError, match="has no reason"):
      run(toys.case(excuses=(Excuse("output/x", ""),)), stages=STRUCTURE)

  def test_excuses_that_excuse_nothing_fail(self):
    case = toys.case()
    case = dataclasses.replace(case, excuses=(*case.excuses, Excuse("output/nothing", "reason")))
    (finding,) = failing(run(case, steps=1))
    assert (finding.section, finding.name) == ("excuse", "output/nothing")
    assert run(case, stages=["forward"]).same  # It may be for another stage.

  def test_rules_that_match_nothing_fail(self):
    case = toys.case(taps=(TapRule("gone.{i}", "gone{i}"), *toys.TAPS))
    (finding,) = failing(run(case, stages=["forward"]))
    assert (finding.section, finding.name) == ("rule", "gone.{i}")
    assert run(case, stages=["gradients"]).same  # It may be for the other pass.

  def test_settings_that_differ_fail_before_any_tensor(self):
    result = run(
      toys.case(toys.Defects(settings={"epsilon": 1e-3, "slope": 0.1})), stages=STRUCTURE
    )
    assert result.settings == [("epsilon", 1e-5, 1e-3), ("slope", "—", 0.1)]
    assert [(f.name, f.status) for f in failing(result)] == [
      ("epsilon", Status.DIFFERENT),
      ("slope", Status.UNPAIRED),
    ]
    assert result.first_blame.layer == "epsilon"


class TestTransfer:
  def test_weights_without_a_place(self):
    rules = toys.case().weights
    case = toys.case(weights=tuple(r for r in rules if r != Rule("norm.bias", "norm/beta")))
    result = run(case, stages=["forward"])
    assert not result.same
    assert [stage.name for stage in result.stages] == ["structure"]
    text = " ".join(f.reason for f in failing(result))
    assert "norm.bias" in text
    assert "norm/beta" in text

  def test_weights_of_another_shape_are_not_reshaped(self):
    """What older PyTorch → TensorFlow loaders do."""
    rules = tuple(
      Rule(r.source, r.target, "") if r.source == "stem.weight" else r
      for r in toys.case().weights
      if isinstance(r, Rule)
    ) + (Ignore("norm.num_batches_tracked", "counts only"),)
    result = run(toys.case(weights=rules), stages=["forward"])
    assert not result.same
    assert "stem" in failing(result)[0].reason

  def test_a_variable_that_does_not_keep_its_value(self):
    def candidate(precision):
      side = toys.candidate(precision, toys.Defects())
      bias = side.network.head.bias
      real = bias.assign
      object.__setattr__(bias, "assign", lambda value, *a, **k: real(tf.abs(value), *a, **k))
      return side

    result = run(toys.case(candidate=candidate), stages=STRUCTURE)
    (finding,) = failing(result)
    assert (finding.name, finding.reason) == ("head/bias", "does not keep what it is set to")

  def test_a_parameter_that_the_original_does_not_train(self):
    def original(*args):
      side = toys.original(*args)
      weight = side.network.norm.weight.detach().clone()
      del side.network.norm.weight
      side.network.norm.register_buffer("weight", weight)
      return without(side, "losses", "trainer")

    case = toys.case(
      reference=original,
      candidate=lambda p: without(toys.candidate(p, toys.Defects()), "losses", "trainer"),
      excuses=(),
    )
    result = run(case)
    finding = failing(result)[0]
    assert finding.name == "norm/gamma"
    assert finding.reason == "is a parameter, in the original a buffer"


class TestRecording:
  def test_replay(self, tmp_path):
    path = tmp_path / "made" / "toy.safetensors"
    session.record(toys.case(), path, steps=2)
    blind = toys.case(reference=None)
    assert run(blind, recording=path).same
    differing = run(toys.case(toys.Defects(slope=0.2), reference=None), recording=path)
    assert differing.first_blame.layer == "act"
    with pytest.raises(UserError, match="has 2 training steps, not 3"):
      run(blind, recording=path, steps=3)
    with pytest.raises(UserError, match="a recording of seed 0, not 1"):
      run(blind, recording=path, seed=1)
    with pytest.raises(UserError, match="a recording in float64, not float32"):
      run(blind, recording=path, precision="float32")
    with pytest.raises(UserError, match="a recording of the case toys/toy, not toys/other"):
      run(dataclasses.replace(blind, name="toys/other"), recording=path)
    assert [file.name for file in path.parent.iterdir()] == ["toy.safetensors"]

  def test_low_precision_has_golden_values_beside(self, tmp_path):
    path = tmp_path / "toy.safetensors"
    session.record(toys.case(), path, "float32", steps=1)
    assert {file.name for file in tmp_path.iterdir()} == {
      "toy.safetensors",
      "toy.golden.safetensors",
    }
    assert run(toys.case(reference=None), precision="float32", recording=path, steps=1).same
    (tmp_path / "toy.golden.safetensors").unlink()
    with pytest.raises(UserError, match=r"toy\.golden\.safetensors"):
      run(toys.case(reference=None), precision="float32", recording=path)

  def test_a_case_that_has_recordings_of_its_own(self):
    asked = []

    def recorded(precision, seed, directory):
      asked.append((precision, seed))
      path = directory / "kept.safetensors"
      session.record(toys.case(), path, precision, stages=["forward"], seed=seed)
      return path

    case = dataclasses.replace(toys.case(reference=None), recorded=recorded)
    assert run(case, seed=3).same
    assert asked == [("float64", 3)]

  def test_only_what_was_recorded(self, tmp_path):
    path = tmp_path / "toy.safetensors"
    session.record(toys.case(), path, stages=["forward"])
    result = run(toys.case(reference=None), recording=path)
    assert [stage.name for stage in result.stages] == ["structure", "forward"]
    with pytest.raises(UserError, match="stage 'loss'"):
      run(toys.case(reference=None), recording=path, stages=["loss"])

  @pytest.mark.parametrize("precision", ["float64", "bfloat16"])
  def test_figures_alone(self, tmp_path, precision):
    path = tmp_path / "toy.safetensors"
    session.record(toys.case(), path, precision, steps=2, tier=Tier.STATISTICS)
    result = run(toys.case(reference=None), precision=precision, recording=path)
    assert failing(result) == []
    reasons = {f.name: f.reason for f in result.stages[1].findings if f.phase == "eval"}
    assert reasons["stem"] == "by figures: the recording does not keep the array"
    assert reasons["head"] == ""  # Few values are kept whole.
    defects = toys.Defects(slope=0.2)
    wrong = run(toys.case(defects, reference=None), precision=precision, recording=path)
    assert not wrong.same
    assert wrong.first_blame.layer == "act"

  def test_figures_see_one_value_and_any_order(self, tmp_path):
    path = tmp_path / "toy.safetensors"
    session.record(toys.case(), path, stages=["forward", "trajectory"], tier=Tier.STATISTICS)
    spike = lambda a, b: a + b + tf.cast(tf.reshape(tf.range(6), (1, 1, 1, 6)) == 3, a.dtype) * 1e-6
    for glue in (spike, lambda a, b: tf.reverse(a + b, [1])):
      result = run(toys.case(toys.Defects(glue=glue), reference=None), recording=path)
      assert result.first_blame.layer == "block"

  def test_shapes_alone_are_not_enough_to_run(self, tmp_path):
    path = tmp_path / "toy.safetensors"
    session.record(toys.case(), path, stages=["forward"], tier=Tier.STRUCTURE)
    with pytest.raises(UserError, match="record it with the tier full"):
      run(toys.case(reference=None), recording=path)

  def test_an_original_that_cannot_run_here(self):
    with pytest.raises(UserError, match="cannot be run here; give a recording"):
      run(toys.case(reference=None))

  def test_a_disk_that_is_too_small(self, tmp_path, monkeypatch):
    path = tmp_path / "toy.safetensors"
    session.record(toys.case(), path, stages=["forward"])
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="a recording of the original takes about"):
      run(toys.case())
    with pytest.raises(UserError, match="recording the candidate takes about"):
      run(toys.case(reference=None), recording=path)


class TestDeterminism:
  def test_a_random_original_is_refused(self):
    def original(*args):
      side = toys.original(*args)
      random = np.random.default_rng()
      side.network.act.register_forward_hook(lambda *a: a[2] * float(random.normal()))
      return side

    with pytest.raises(UserError, match=r"the original cannot be compared: .* not deterministic"):
      run(toys.case(reference=original), stages=["forward"])

  def test_a_random_candidate_is_refused(self):
    random = np.random.default_rng()
    glue = lambda a, b: a + b * random.normal()
    with pytest.raises(UserError, match=r"the candidate cannot be compared: .* not deterministic"):
      run(toys.case(toys.Defects(glue=glue)), stages=["forward"])


def test_assert_parity():
  testing.assert_parity(toys.case(), stages=["forward"])
  with pytest.raises(AssertionError, match="act"):
    testing.assert_parity(toys.case(toys.Defects(slope=0.3)), stages=["forward"])
