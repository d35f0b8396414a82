"""The same global batches on one device, two devices and two workers: the same weights, in float64.

Every step sees the whole data set, so that it is the same however it is dealt out. The
classification is weighted alike for all queries (a replica's mean is of its own), normalizations
are frozen.
"""

import functools
import json
import os
import shutil
import socket
import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.official.training import runs

IMAGES, STEPS = 8, 10
SIZE = {"output_size": [32, 32], "min_sizes": [32], "max_size": 32, "max_segments": 8}
TASK = {
  "model": {"frozen_norm": True},
  "losses": {"no_object": 1.0},
  "train_data": SIZE | {"global_batch_size": IMAGES, "augmentation": {"flip": 0.0}},
  "validation_data": SIZE | {"global_batch_size": 4, "groundtruth_size": [64, 64]},
  "evaluations": ["semantic"],
}
TRAINER = {
  "train_steps": STEPS,
  "steps_per_loop": 5,
  "validation_interval": STEPS,
  "best_checkpoint_eval_metric": "mIoU",
}
METRICS = ("validation_loss", "mIoU")


def _one():
  return tf.distribute.OneDeviceStrategy("CPU:0")


def _two():
  return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def _worker(hosts, index):
  os.environ["TF_CONFIG"] = json.dumps(
    {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
  )
  return tf.distribute.MultiWorkerMirroredStrategy()


def _train(folder, make_strategy, records):
  import tf_keras

  import projects.maskformer.configs.experiments
  import projects.maskformer.tasks.maskformer  # noqa: F401
  from official.core import exp_factory, task_factory
  from official.training.runner import ExperimentRunner

  tf_keras.mixed_precision.set_global_policy("float64")
  tf_keras.utils.set_random_seed(0)
  params = exp_factory.get_exp_config("maskformer_tiny_shapes")
  params.override({"task": TASK, "trainer": TRAINER})
  for data in (params.task.train_data, params.task.validation_data):
    data.input_path = f"{records}/part-*.tfrecord"
  strategy = make_strategy()
  with strategy.scope():
    task = task_factory.get_task(params.task)
  _, metrics = ExperimentRunner(strategy, task, "train_and_eval", params, str(folder)).run()
  if strategy.extended.should_checkpoint:
    figures = {name: float(metrics[name]) for name in METRICS}
    (folder / "metrics.json").write_text(json.dumps(figures))


@pytest.fixture(scope="module")
def records(shapes, tmp_path_factory):
  """Folder of two files, each with half of the images."""
  folder = tmp_path_factory.mktemp("records")
  data = tf.data.TFRecordDataset(tf.io.gfile.glob(f"{shapes}/train-*.tfrecord"))
  examples = [example.numpy() for example in data.take(IMAGES)]
  for index in range(2):
    with tf.io.TFRecordWriter(f"{folder}/part-{index:05}-of-00002.tfrecord") as writer:
      for example in examples[index::2]:
        writer.write(example)
  shutil.copy(shapes / "train.json", folder / "part.json")
  return folder


def _on_workers(folder, records):
  with socket.create_server(("localhost", 0)) as one, socket.create_server(("localhost", 0)) as two:
    hosts = [f"localhost:{server.getsockname()[1]}" for server in (one, two)]
  workers = [
    threading.Thread(
      target=runs.call,
      args=(
        functools.partial(_train, folder, functools.partial(_worker, hosts, index), records),
        f"{folder}.log{index}",
      ),
    )
    for index in range(2)
  ]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()


def test_strategies_end_with_the_same_weights_and_metrics(records, tmp_path):
  for name, strategy, devices in (("one", _one, 1), ("two", _two, 2)):
    train = functools.partial(_train, tmp_path / name, strategy, records)
    runs.call(train, tmp_path / "log", devices=devices)
  _on_workers(tmp_path / "workers", records)
  expected = runs.tensors(tmp_path / "one" / f"ckpt-{STEPS}")
  first = json.loads((tmp_path / "one" / "metrics.json").read_text())
  assert first["mIoU"] > 0
  for other in ("two", "workers"):
    state = runs.tensors(tmp_path / other / f"ckpt-{STEPS}")
    assert state.keys() == expected.keys()
    for key, value in expected.items():
      if value.dtype == np.float64:
        np.testing.assert_allclose(state[key], value, rtol=1e-9, atol=1e-12, err_msg=key)
    metrics = json.loads((tmp_path / other / "metrics.json").read_text())
    assert metrics == pytest.approx(first, rel=1e-6)  # Sums of float32.
