"""The real model, data and optimizer: killed and started again, it ends bit for bit the same."""

import signal
import subprocess
import sys

import pytest

from tests.official.training import runs

_SETTINGS = {
  "task.model.input_size": 64,
  "task.train_data.global_batch_size": 3,
  "task.train_data.augmentation.mosaic": 1.0,
  "task.train_data.augmentation.hue": 0.1,
  "task.validation_data.global_batch_size": 3,
  "trainer.train_steps": 12,
  "trainer.steps_per_loop": 2,
  "trainer.summary_interval": 2,
  "trainer.checkpoint_interval": 4,
  "trainer.validation_interval": 6,
}


def _start(shapes, model_dir):
  paths = {
    "task.train_data.input_path": f"{shapes}/train-*.tfrecord",
    "task.validation_data.input_path": f"{shapes}/val-*.tfrecord",
  }
  override = ",".join(f"{key}={value}" for key, value in (_SETTINGS | paths).items())
  flags = ["--experiment=yolo_v4_tiny_shapes", "--mode=train_and_eval", f"--model_dir={model_dir}"]
  command = [sys.executable, "-m", "train", *flags, f"--params_override={override}"]
  return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_killed_run_ends_as_an_undisturbed_one(shapes, tmp_path):
  whole = _start(shapes, tmp_path / "whole")
  assert whole.wait(200) == 0, whole.stderr.read()
  killed = _start(shapes, tmp_path / "killed")
  # The first evaluation is at step 6, with checkpoint 4 on disk.
  assert any(line.startswith("step 6:") for line in killed.stderr)
  killed.send_signal(signal.SIGKILL)
  assert killed.wait(200) == -signal.SIGKILL
  assert not (tmp_path / "killed/ckpt-12.index").exists()
  again = _start(shapes, tmp_path / "killed")
  assert again.wait(200) == 0, again.stderr.read()
  assert runs.differences(tmp_path / "whole/ckpt-12", tmp_path / "killed/ckpt-12") == []
  assert len(runs.tensors(tmp_path / "whole/ckpt-12")) > 200
  with pytest.raises(AssertionError):
    assert runs.differences(tmp_path / "whole/ckpt-12", tmp_path / "whole/ckpt-8") == []
