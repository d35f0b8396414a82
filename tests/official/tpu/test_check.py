"""A whole check of the experiment `fake`, and its reports."""

import json

import pytest
import tensorflow as tf

from official.tpu import check, chips
from official.tpu.check import Options
from official.tpu.findings import Level
from official.tpu.report import digest, json_file, page, terminal
from tests.official.training import fake


@pytest.fixture(scope="module")
def checked(libtpu):
  phases = []
  options = Options(limit=300, tell=phases.append)
  return check.check(fake.fake(), chips.parse("v5e:2x2"), options), phases


class Leaky(fake.FakeTask):
  """The fake task with a step that no TPU takes."""

  def build_losses(self, labels, model_outputs, aux_losses=None):
    kept = tf.boolean_mask(model_outputs, model_outputs > 0)  # The defect.
    return tf.reduce_sum(tf.strings.length(tf.strings.as_string(kept)))


def test_the_step_of_a_replica_fits(checked):
  result, _ = checked
  assert result.fits
  assert result.batch == 1
  assert result.budget.memory.headroom > 15 * 2**30
  # Sums of gradients: of the convolution, of gamma and beta, of the dense layer.
  assert result.budget.collective_bytes == 4 * (3 * 3 * 3 * 4 + 4 + 4 + 4 + 1)


def test_phases_are_timed_and_told(checked):
  result, phases = checked
  assert set(result.phases) >= {"tracing the step", "linting", "lowering", "compiling"}
  assert "compiling" in phases


def test_costs_have_origins(checked):
  result, _ = checked
  origins = [result.origins.get(cost.op_name) for cost in result.budget.costs if cost.flops]
  assert origins
  assert all("conv2d" in origin.layer or "dense" in origin.layer for origin in origins)
  # A functional model is called by TFMG's task.
  assert all("base_task.py:" in origin.line for origin in origins)


def test_a_batch_of_a_replica_can_be_set():
  params = fake.fake()
  assert check.with_batch(params, "train", 3, replicas=8) == 3
  assert params.task.train_data.global_batch_size == 24
  assert check.with_batch(params, "eval", None, replicas=2) == 2


def test_precision_is_the_experiments_and_ends_with_the_check():
  import tf_keras

  params = fake.fake()
  params.runtime.mixed_precision_dtype = "bfloat16"
  before = tf_keras.mixed_precision.global_policy().name
  result = check.check(params, chips.parse("v5e:1x1"), Options(lint_only=True))
  assert result.precision == "bfloat16"
  assert tf_keras.mixed_precision.global_policy().name == before


def test_a_step_that_cannot_be_lowered_is_told_with_line_and_cure(monkeypatch):
  monkeypatch.setattr(fake.FakeTask, "build_losses", Leaky.build_losses)
  result = check.check(fake.fake(), chips.parse("v5e:1x1"), Options(kind="eval"))
  assert not result.fits
  assert "DOES NOT COMPILE" in digest.headline(result)
  rules = {finding.rule for finding in result.findings if finding.level == Level.ERROR}
  assert {"dynamic-shape", "string"} <= rules
  (where,) = [f for f in result.findings if f.rule == "dynamic-shape"]
  assert where.line.startswith(__file__)
  assert where.cure.startswith("pad")


def test_a_step_that_cannot_be_traced_is_a_finding(monkeypatch):
  def build_losses(self, labels, model_outputs, aux_losses=None):
    return model_outputs.numpy().mean()

  monkeypatch.setattr(fake.FakeTask, "build_losses", build_losses)
  result = check.check(fake.fake(), chips.parse("v5e:1x1"), Options(lint_only=True))
  assert not result.fits
  assert [finding.rule for finding in result.findings] == ["tracing"]


def test_the_evaluation_step_lints():
  result = check.check(fake.fake(), chips.parse("v3:1x1"), Options("eval", 2, lint_only=True))
  assert result.fits
  assert result.batch == 2
  assert result.budget is None


def test_json_holds_what_was_found(checked, tmp_path):
  result, _ = checked
  json_file.write_json("fake", [result], {"jax": "1"}, tmp_path / "report.json")
  report = json.loads((tmp_path / "report.json").read_text())
  assert report["format"] == json_file.FORMAT
  assert report["experiment"] == "fake"
  (one,) = report["checks"]
  assert one["fits"] is True
  assert one["topology"] == "v5e:2x2"
  assert one["replicas"] == 4
  assert one["budget"]["memory"]["total"] == result.budget.memory.total
  assert one["budget"]["bound_seconds"] == result.budget.bound_seconds
  assert any(cost["origin"] and "conv2d" in cost["origin"]["layer"]
             for cost in one["budget"]["costs"])  # fmt: skip


def test_the_page_needs_nothing_else(checked, tmp_path):
  result, _ = checked
  text = page.write_page("fake <b>", [result, result], tmp_path).read_text()
  assert "FITS" in text
  assert "conv2d" in text
  assert "fake &lt;b&gt;" in text
  assert "src=" not in text
  assert "<link" not in text


def test_the_terminal_tells_it_all(checked, capsys):
  result, _ = checked
  terminal.print_check(result)
  told = capsys.readouterr().out
  for part in ("FITS", "headroom", "bound on MFU", "dearest instructions", "conv2d", "819 GB/s"):
    assert part in told


@pytest.mark.parametrize(
  ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (16 * 2**30, "16 GiB")]
)
def test_sizes(count, text):
  assert digest.size(count) == text
