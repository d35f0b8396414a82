"""A MaskFormer's run that is killed and started again ends bit for bit as one left alone."""

import functools

from tests.official.training import runs

# Small, with what is drawn: order, views, dropout.
TASK = {
  "model": {"dropout": 0.2, "deep_supervision": False},
  "train_data": {
    "output_size": [32, 32],
    "min_sizes": [32, 40],
    "max_size": 64,
    "global_batch_size": 2,
    "max_segments": 8,
    "shuffle_buffer_size": 4,
  },
}
TRAINER = {"train_steps": 4, "checkpoint_interval": 2, "steps_per_loop": 1, "summary_interval": 4}


def _train(shapes, folder):
  import projects.maskformer.configs.experiments
  import projects.maskformer.tasks.maskformer  # noqa: F401
  from official.core import exp_factory, task_factory
  from official.training import environment
  from official.training.runner import ExperimentRunner

  params = exp_factory.get_exp_config("maskformer_tiny_shapes")
  params.override({"task": TASK, "trainer": TRAINER})
  params.task.train_data.input_path = f"{shapes}/train-*.tfrecord"
  strategy = environment.prepare(params)
  with strategy.scope():
    task = task_factory.get_task(params.task)
  ExperimentRunner(strategy, task, "train", params, str(folder)).run()


def test_killed_run_ends_as_an_undisturbed_one(shapes, tmp_path):
  for folder, kill in (
    ("whole", None),
    ("parts", ("official.training.controller:Controller._train_n_steps", 4)),
    ("parts", None),
  ):
    runs.call(functools.partial(_train, shapes, tmp_path / folder), tmp_path / "log", kill=kill)
  state = runs.tensors(tmp_path / "whole" / "ckpt-4")
  first = runs.tensors(tmp_path / "whole" / "ckpt-2")
  kernels = [name for name, value in state.items() if "kernel" in name and name in first]
  assert all((state[name] != first[name]).any() for name in kernels[:5])
  assert runs.differences(tmp_path / "parts" / "ckpt-4", tmp_path / "whole" / "ckpt-4") == []
