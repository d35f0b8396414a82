"""The command line of `train.py`: mistakes are told in one line, before TensorFlow is busy."""

import os
import pathlib
import subprocess
import sys

import pytest

import train
from official.cli.errors import UserError
from tests.official.training import runs

_ROOT = pathlib.Path(train.__file__).parent


@pytest.fixture
def mistake(tmp_path, monkeypatch):
  """Calls `main` with flags for the tiny experiment and returns its one-line complaint."""
  import tests.official.training.fake  # noqa: F401

  def call(*flags, experiment="fake", mode="train_and_eval", model_dir=tmp_path / "run"):
    base = [f"--experiment={experiment}", f"--mode={mode}", f"--model_dir={model_dir}"]
    with pytest.raises(UserError) as error:
      train.main([*base, *flags])
    assert "\n" not in str(error.value)
    return str(error.value)

  return call


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("trainer.train_step=5", "unknown key 'trainer.train_step'; did you mean 'train_steps'?"),
    ("trianer.train_steps=5", "unknown key 'trianer'; did you mean 'trainer'?"),
    ("trainer.train_steps=many", "trainer.train_steps: expected int, got 'many'"),
    ("trainer.train_steps=1.5", "trainer.train_steps: expected int, got 1.5"),
    ("trainer=5", "trainer: expected a section (key: value …), got 5"),
    ("trainer.optimizer_config.ema.average_decy=0.9", "did you mean 'average_decay'?"),
    ("trainer.optimizer_config.optimizer.type=sgdd", "no 'sgdd'; did you mean 'sgd'?"),
    ("task.train_data.drop_remainder=2", "expected bool, got 2"),
    ("trainer.train_steps", "expected 'key: value' settings, got 'trainer.train_steps'"),
    ("{a: [", "--params_override, line 1: not valid YAML"),
    ("trainer.train_steps=0", "trainer.train_steps: expected a positive number, got 0"),
    ("trainer.summary_interval=3", "summary_interval (3) is not a multiple of"),
    ("trainer.validation_steps=0", "trainer.validation_steps: 0 is not positive or -1"),
    ("trainer.best_checkpoint_metric_comp=high", "no 'high'; did you mean 'higher'?"),
    ("trainer.eval_tf_while_loop=true", "needs a number of trainer.validation_steps"),
    ("trainer.train_tf_function=false", "train_tf_while_loop needs trainer.train_tf_function"),
    ("trainer.recovery_max_trials=3", "trainer.recovery_max_trials"),
    ("trainer.optimizer_config.learning_rate.type=null", "learning_rate.type: not set"),
    ("runtime.mixed_precision_dtype=bfloat", "no 'bfloat'; did you mean 'bfloat16'?"),
    ("runtime.mixed_precision_dtype=float16", "exclude each other: use bfloat16"),
    ("runtime.distribution_strategy=mirored", "no 'mirored'; did you mean 'mirrored'?"),
    ("runtime.distribution_strategy=tpu", "tpu needs --tpu=NAME"),
    ("runtime.tpu=node-1", "--tpu needs runtime.distribution_strategy=tpu, not one_device"),
    ("runtime.num_gpus=64", "64 asked for, TensorFlow sees"),
    ("runtime.distribution_strategy=multi_worker_mirrored", "needs runtime.worker_hosts"),
    (
      "{runtime: {distribution_strategy: multi_worker_mirrored, worker_hosts: 'a:1,b:1'}}",
      "runtime.task_index: -1 is not one of the 2 workers",
    ),
    ("task.train_data.tfds_name=coco/2017", "input_path and tfds_name are both set"),
    ("{task: {train_data: {input_path: ''}}}", "task.train_data: set input_path or tfds_name"),
    (
      "{task: {train_data: {input_path: '', tfds_name: coco}}}",
      "task.train_data.tfds_split: needed",
    ),
    ("task.validation_data.input_path=no/such*", "no file matches 'no/such*'"),
    ("task.train_data.global_batch_size=0", "expected a positive number, got 0"),
    ("task.init_checkpoint=no/such", "task.init_checkpoint: no checkpoint at no/such"),
    ("task.train_data.is_training=null", "contradictory settings"),
    ("no/such.yaml", "cannot read settings from no/such.yaml: No such file"),
  ],
)
def test_wrong_settings(mistake, override, message):
  assert message in mistake(f"--params_override={override}")


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ({"experiment": "fakee"}, "no experiment 'fakee'; did you mean 'fake'?"),
    ({"mode": "trian"}, "argument --mode: invalid choice: 'trian'"),
    ({"model_dir": "/proc/run"}, "cannot write to --model_dir /proc/run: No such file"),
    ({"model_dir": "no/such", "mode": "eval"}, "--model_dir no/such is not a folder"),
  ],
)
def test_wrong_flags(mistake, flags, message):
  assert message in mistake(**flags)


def test_wrong_files(mistake, tmp_path):
  (tmp_path / "broken.yaml").write_text("task:\n  model: [1\n")
  (tmp_path / "unknown.yaml").write_text("trainer: {steps_per_lop: 3}")
  (tmp_path / "list.yaml").write_text("[1, 2]")
  (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
  assert "broken.yaml, line 3: not valid YAML" in mistake(f"--config_file={tmp_path}/broken.yaml")
  message = mistake(f"--config_file={tmp_path}/unknown.yaml")
  assert message.endswith(
    "unknown.yaml: unknown key 'trainer.steps_per_lop'; did you mean 'steps_per_loop'?"
  )
  assert "expected 'key: value' settings" in mistake(f"--config_file={tmp_path}/list.yaml")
  assert "it is not text" in mistake(f"--config_file={tmp_path}/binary.yaml")
  assert "no_such.yaml: No such file" in mistake("--config_file=no_such.yaml")
  assert mistake("--gin_file=no_such.gin").startswith("gin: ")
  assert mistake("--gin_params=nonsense.x = 1").startswith("gin: No configurable matching")


def test_unwritable_file_as_model_dir(mistake, tmp_path):
  (tmp_path / "file").write_text("")
  assert "cannot write to --model_dir" in mistake(model_dir=tmp_path / "file")


def test_batch_that_does_not_divide(tmp_path):
  from official.training import checks
  from tests.official.training import fake

  checks.check_replicas(fake.fake(), "train_and_eval", 2)
  with pytest.raises(UserError, match="4 does not divide among 3 replicas"):
    checks.check_replicas(fake.fake(), "train_and_eval", 3)


def test_saved_settings_are_a_config_file(mistake, tmp_path):
  from official.modeling import hyperparams
  from tests.official.training import fake

  hyperparams.save_params_dict_to_yaml(fake.fake(), str(tmp_path / "params.yaml"))
  message = mistake(f"--config_file={tmp_path}/params.yaml", "--params_override=runtime.tpu=x")
  assert message.startswith("--tpu needs")  # The last check of all; the file was accepted.


def test_help_is_quick_and_ends_with_examples_and_exit_codes():
  code = "import sys, train; train._parse(['--help'])"
  environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=_ROOT, env=environment, capture_output=True, text=True
  )
  assert done.returncode == 0
  assert "examples:\n  python train.py" in done.stdout
  assert "143 after SIGTERM" in done.stdout.splitlines()[-1]
  imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
  assert "yaml" in imported
  assert "tensorflow" not in imported


def test_process_tells_a_mistake_in_one_line(tmp_path):
  flags = ["--experiment=no_such_thing", "--mode=train", f"--model_dir={tmp_path}"]
  done = subprocess.run(
    [sys.executable, "train.py", *flags], cwd=_ROOT, capture_output=True, text=True
  )
  assert done.returncode == 2
  assert done.stdout == ""
  assert done.stderr.startswith("error: no experiment 'no_such_thing'")
  assert done.stderr.count("\n") == 1


def test_process_trains_without_noise(tmp_path):
  flags = ["--experiment=fake", "--mode=train", f"--model_dir={tmp_path}"]
  command = [sys.executable, "-m", "tests.official.training.fake_train", *flags]
  done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
  assert done.returncode == 0
  assert done.stdout == ""
  assert done.stderr.startswith("training: 24/24 steps")
  assert done.stderr.count("\n") == 1


def test_lists_experiments(capsys):
  import tests.official.training.fake  # noqa: F401

  assert train.main(["--list_experiments"]) == 0
  names = capsys.readouterr().out.split()
  assert "fake" in names
  assert names == sorted(names)


def test_changed_settings_are_told(tmp_path):
  flags = ("--experiment=fake", "--mode=train", f"--model_dir={tmp_path}")
  runs.run(*flags, "--params_override=trainer.train_steps=2", log=tmp_path / "log")
  log = runs.run(*flags, "--params_override=trainer.train_steps=4", log=tmp_path / "log")
  assert "settings differ from the ones in" in log
  assert ": trainer.train_steps 2 → 4\n" in log
