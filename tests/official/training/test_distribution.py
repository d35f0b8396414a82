"""Whole runs on more than one device and with more than one worker."""

import functools
import json
import os
import signal
import socket

import tensorflow as tf
import tf_keras

from official.core import task_factory
from official.training.runner import ExperimentRunner
from tests.official.training import fake, runs


def _run_on_two_devices(model_dir, train_steps):
  tf_keras.utils.set_random_seed(0)
  params = fake.fake()
  params.trainer.train_steps = train_steps
  strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
  with strategy.scope():
    task = task_factory.get_task(params.task)
  _, metrics = ExperimentRunner(strategy, task, "train_and_eval", params, str(model_dir)).run()
  assert metrics["validation_loss"] > 0


def test_two_devices_resume(tmp_path):
  for folder, steps in (("whole", 12), ("parts", 8), ("parts", 12)):
    run = functools.partial(_run_on_two_devices, tmp_path / folder, steps)
    runs.call(run, tmp_path / "log", devices=2)
  assert runs.differences(tmp_path / "whole" / "ckpt-12", tmp_path / "parts" / "ckpt-12") == []


def test_two_workers_stop_together_resume_and_only_the_chief_writes(tmp_path):
  workers = _start_workers(tmp_path, 100_000)
  runs.wait_for(tmp_path / "run" / "ckpt-8.index", *workers)
  os.kill(workers[1].pid, signal.SIGTERM)
  for worker in workers:
    runs.finish(worker, 128 + signal.SIGTERM)
  step = max(int(p.stem[5:]) for p in (tmp_path / "run").glob("ckpt-*.index")) + 3
  for worker in _start_workers(tmp_path, step):
    runs.finish(worker)
  assert f"step {step}: validation_loss" in (tmp_path / "log0").read_text()
  assert "step " not in (tmp_path / "log1").read_text()
  state = runs.tensors(tmp_path / "run" / f"ckpt-{step}")
  assert state["optimizer/ema_base_optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE"] == step


def _start_workers(folder, train_steps):
  with socket.create_server(("localhost", 0)) as one, socket.create_server(("localhost", 0)) as two:
    hosts = ",".join(f"localhost:{server.getsockname()[1]}" for server in (one, two))
  runtime = {"distribution_strategy": "multi_worker_mirrored", "worker_hosts": hosts}
  workers = []
  for index in range(2):
    override = {
      "runtime": {**runtime, "task_index": index},
      "trainer": {"train_steps": train_steps},
    }
    flags = ["--experiment=fake", "--mode=train_and_eval", f"--model_dir={folder / 'run'}"]
    flags.append(f"--params_override={json.dumps(override)}")
    workers.append(runs.start(*flags, log=folder / f"log{index}"))
  return workers
