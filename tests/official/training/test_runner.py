"""Whole runs of the tiny experiment: what they write, how they stop."""

import json
import re

import pytest
import tensorflow as tf
import yaml

from tests.official.training import runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  folder = tmp_path_factory.mktemp("trained")
  flags = ("--experiment=fake", f"--model_dir={folder}")
  return folder, runs.run(*flags, "--mode=train_and_eval", log=folder / "log")


def test_evaluates_at_multiples_and_says_only_that(trained):
  _, log = trained
  lines = log.splitlines()
  assert [re.match(r"step (\d+): validation_loss", line)[1] for line in lines[:-1]] == [
    "6",
    "12",
    "18",
    "24",
  ]
  assert lines[-1].startswith("training: 24/24 steps (100 %)")
  assert re.search(r"loss \d.*images/s", lines[-1])


def test_keeps_settings_checkpoints_and_the_best(trained):
  folder, _ = trained
  assert yaml.safe_load((folder / "params.yaml").read_text())["trainer"]["train_steps"] == 24
  steps = {int(p.stem.partition("-")[2]) for p in folder.glob("ckpt-*.index")}
  assert steps == {8, 12, 16, 20, 24}
  best = json.loads((folder / "best_ckpt" / "info.json").read_text())
  assert (folder / "best_ckpt" / f"best_ckpt-{best['best_ckpt_global_step']:.0f}.index").exists()
  assert list(folder.rglob("*.tmp")) == []


def test_writes_scalars_and_images(trained):
  folder, _ = trained
  tags = {}
  for path in folder.glob("*/events.out.tfevents.*"):
    for event in tf.compat.v1.train.summary_iterator(str(path)):
      for value in event.summary.value:
        kind = value.metadata.plugin_data.plugin_name
        tags.setdefault((path.parent.name, value.tag), set()).add(kind or "scalars")
  assert tags["train", "training_loss"] == {"scalars"}
  assert ("train", "steps_per_second") in tags
  assert tags["validation", "validation_loss"] == {"scalars"}
  assert tags["validation", "image/black"] == {"images"}


def test_evaluation_of_the_best_repeats_its_metrics(trained):
  folder, _ = trained
  best = json.loads((folder / "best_ckpt" / "info.json").read_text())
  flags = ("--experiment=fake", "--mode=eval", f"--model_dir={folder / 'best_ckpt'}")
  log = runs.run(*flags, log=folder / "eval_log")
  assert f"validation_loss {best['validation_loss']:.4g}" in log


def test_evaluates_averages(trained):
  folder, log = trained
  last = re.search(r"step 24: validation_loss ([\d.]+)", log)[1]
  flags = ("--experiment=fake", "--mode=eval", f"--model_dir={folder}")
  assert f"step 24: validation_loss {last}" in runs.run(*flags, log=folder / "average_log")
  state = runs.tensors(folder / "ckpt-24")
  averages = [name for name in state if "/.OPTIMIZER_SLOT/optimizer/average/" in name]
  assert len(averages) == 7  # Kernels, bias, and all four of BatchNorm.
  moved = [n for n in averages if (state[n] != state[_weight(n)]).any()]
  assert moved == averages


def _weight(average):
  return average.replace("/.OPTIMIZER_SLOT/optimizer/average", "")


def test_value_that_is_not_finite_stops_before_it_is_saved(tmp_path):
  flags = ("--experiment=fake", "--mode=train", f"--model_dir={tmp_path}")
  override = "--params_override=task.poison_step=15,trainer.steps_per_loop=6,"
  override += "trainer.summary_interval=6,trainer.checkpoint_interval=1"
  log = runs.run(*flags, override, log=tmp_path / "log", expected=1)
  assert log.splitlines()[-1].startswith("error: loss is not finite at step 15;")
  assert len(log.splitlines()) == 1
  assert sorted(p.name for p in tmp_path.glob("ckpt-*.index")) == ["ckpt-12.index", "ckpt-6.index"]


def test_other_model_is_refused(trained, tmp_path):
  folder, _ = trained
  flags = ("--experiment=fake", "--mode=eval", f"--model_dir={folder}")
  override = "--params_override=task.model.filters=5"
  log = runs.run(*flags, override, log=tmp_path / "log", expected=2)
  assert re.fullmatch(r"error: .*ckpt-24 was saved by another model .*\n", log)


def test_evaluation_without_checkpoint_is_refused(tmp_path):
  flags = ("--experiment=fake", "--mode=eval", f"--model_dir={tmp_path}")
  log = runs.run(*flags, log=tmp_path / "log", expected=2)
  assert re.fullmatch(r"error: no checkpoint in .*\n", log)


def test_damaged_checkpoint_is_passed_over(tmp_path):
  flags = ("--experiment=fake", "--mode=train", f"--model_dir={tmp_path}")
  runs.run(*flags, log=tmp_path / "log")
  reference = runs.tensors(tmp_path / "ckpt-24")
  data = tmp_path / "ckpt-24.data-00000-of-00001"
  data.write_bytes(data.read_bytes()[:-100])
  (tmp_path / "checkpoint").write_text("model_checkpoint_p")
  log = runs.run(*flags, log=tmp_path / "log")
  assert "ckpt-24 is damaged" in log
  again = runs.tensors(tmp_path / "ckpt-24")
  assert all((again[name] == reference[name]).all() for name in reference)
  assert len(list(tmp_path.glob("ckpt-*.index"))) == 5


def test_continuous_evaluation_ends_when_training_has(trained):
  folder, _ = trained
  flags = ("--experiment=fake", "--mode=continuous_eval", f"--model_dir={folder}")
  override = "--params_override=trainer.continuous_eval_timeout=0"
  log = runs.run(*flags, override, log=folder / "continuous_log")
  assert re.fullmatch(r"step 24: validation_loss [^\n]*\n", log)


def test_train_and_post_eval_evaluates_once(tmp_path):
  flags = ("--experiment=fake", "--mode=train_and_post_eval", f"--model_dir={tmp_path}")
  log = runs.run(*flags, log=tmp_path / "log")
  assert re.findall(r"step (\d+):", log) == ["24"]


def test_xla_and_bfloat16(tmp_path):
  flags = ("--experiment=fake", "--mode=train", f"--model_dir={tmp_path}")
  override = "--params_override=runtime.enable_xla=true,runtime.mixed_precision_dtype=bfloat16"
  log = runs.run(*flags, override, log=tmp_path / "log")
  assert "Compiled cluster using XLA!" in log
  assert "training: 24/24" in log


def test_missing_tpu_is_told_in_a_line(tmp_path):
  flags = ("--experiment=fake", "--mode=train", f"--model_dir={tmp_path}", "--tpu=local")
  override = "--params_override=runtime.distribution_strategy=tpu"
  log = runs.run(*flags, override, log=tmp_path / "log", expected=2)
  assert re.fullmatch(r"error: cannot start runtime.distribution_strategy=tpu: [^\n]*\n", log)


def test_damaged_input_is_told_in_a_line(tmp_path):
  path = tmp_path / "train.tfrecord"
  with tf.io.TFRecordWriter(str(path)) as writer:
    for _ in range(9):
      writer.write(bytes(100))
  path.write_bytes(path.read_bytes()[:-9])
  flags = ("--experiment=fake", "--mode=train", f"--model_dir={tmp_path}")
  override = f"--params_override=task.train_data.input_path={path}"
  log = runs.run(*flags, override, log=tmp_path / "log", expected=2)
  assert re.search(r"^error: an input file is damaged \(truncated record at \d+.*\)", log, re.M)
  assert "Traceback" not in log
