"""A run that is killed and started again ends bit for bit as one that was left alone."""

import os
import re
import signal

import pytest

from tests.official.training import runs

_FLAGS = ("--experiment=fake", "--mode=train_and_eval")
_CONTROLLER = "official.training.controller:Controller"
_MANAGER = "tensorflow:train.CheckpointManager"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  folder = tmp_path_factory.mktemp("undisturbed")
  runs.run(*_FLAGS, f"--model_dir={folder}", log=folder / "log")
  return folder / "ckpt-24"


@pytest.mark.parametrize(
  "kills",
  [
    [(f"{_CONTROLLER}._train_n_steps", 2)],  # Before anything is saved.
    [(f"{_CONTROLLER}._maybe_save_checkpoint", 6)],  # Steps 9 to 12 are lost.
    [(f"{_MANAGER}._record_state", 3)],  # Checkpoint written, not yet recorded.
    # Averages are in the model; then again in the evaluation that the resumed run begins with.
    [("tests.official.training.fake:FakeTask.aggregate_logs", 5)]
    + [("tests.official.training.fake:FakeTask.aggregate_logs", 2)],
    [("official.training.best:BestCheckpointExporter.export_best_eval_metric", 2)],
  ],
)
def test_killed_run_ends_as_an_undisturbed_one(tmp_path, undisturbed, kills):
  flags = (*_FLAGS, f"--model_dir={tmp_path}")
  for kill in kills:
    runs.run(*flags, log=tmp_path / "log", kill=kill)
  log = runs.run(*flags, log=tmp_path / "log")
  # Each multiple of the interval is evaluated, the ones killed in the evaluation too.
  assert set(re.findall(r"step (\d+): validation_loss", log)) == {"6", "12", "18", "24"}
  assert runs.differences(tmp_path / "ckpt-24", undisturbed) == []


def test_killed_from_outside(tmp_path, undisturbed):
  flags = (*_FLAGS, f"--model_dir={tmp_path}")
  process = runs.start(*flags, log=tmp_path / "log")
  runs.wait_for(tmp_path / "ckpt-8.index", process)
  os.kill(process.pid, signal.SIGKILL)
  runs.finish(process, -signal.SIGKILL)
  runs.run(*flags, log=tmp_path / "log")
  assert runs.differences(tmp_path / "ckpt-24", undisturbed) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stop_saves_and_resumes(tmp_path, undisturbed, number, code):
  # The checkpoint interval is never reached: what is saved is saved because of the signal.
  flags = (*_FLAGS, f"--model_dir={tmp_path}", "--params_override=trainer.checkpoint_interval=1000")
  process = runs.start(*flags, log=tmp_path / "log")
  runs.wait_for(tmp_path / "validation", process)
  os.kill(process.pid, number)
  runs.finish(process, code)
  assert list(tmp_path.glob("ckpt-*.index"))
  assert not (tmp_path / "ckpt-24.index").exists()
  log = runs.run(*flags, log=tmp_path / "log")
  assert f"stopped by {number.name}" in log
  assert runs.differences(tmp_path / "ckpt-24", undisturbed) == []


def test_shorter_loops_change_nothing(tmp_path, undisturbed):
  override = "--params_override=trainer.steps_per_loop=1,trainer.validation_interval=5"
  runs.run(*_FLAGS, f"--model_dir={tmp_path}", override, log=tmp_path / "log")
  assert runs.differences(tmp_path / "ckpt-24", undisturbed) == []


def test_another_seed_changes_the_weights(tmp_path, undisturbed):
  override = "--params_override=task.train_data.seed=8"
  runs.run(*_FLAGS, f"--model_dir={tmp_path}", override, log=tmp_path / "log")
  assert len(runs.differences(tmp_path / "ckpt-24", undisturbed)) > 10
