"""An exported step against the same steps in TensorFlow, and without TensorFlow at hand."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from official.tpu import artifacts
from official.tpu.lowering import lower
from official.tpu.step import trace
from tests.official.training import fake

pytest.importorskip("jax")
pytest.importorskip("safetensors")

from safetensors.numpy import load_file, save_file

from official.tpu.runner import StepRunner

STEPS = 4


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
  """A folder, the step that is in it, and the values of its variables after `STEPS` steps."""
  folder = tmp_path_factory.mktemp("exported")
  step = trace(fake.fake(), "train", replicas=1)
  artifacts.write(step, lower(step), folder, {"tensorflow": tf.__version__})
  structure = tf.nest.pack_sequence_as(_specs(step), list(batch().values()))
  run = tf.function(lambda: step.trainer.train_step(iter([structure])))
  for _ in range(STEPS):
    run()
  # Kept by the names that the export gave.
  names = [each["name"] for each in json.loads((folder / "step.json").read_text())["variables"]]
  values = map(artifacts._value, step.graph.captured_inputs)
  return folder, step, dict(zip(names, values, strict=True))


def _specs(step):
  return tf.TensorSpec([4, 8, 8, 3]), {"mean": tf.TensorSpec([4]), "step": tf.TensorSpec([4])}


def batch():
  random = np.random.default_rng(0)
  return {
    "0": random.random((4, 8, 8, 3), np.float32),
    "1/mean": random.random(4, np.float32),
    "1/step": np.zeros(4, np.int64),
  }


def test_steps_in_jax_are_steps_in_tensorflow(exported):
  folder, _, expected = exported
  runner = StepRunner(folder)
  before = {name: np.asarray(value) for name, value in runner.variables.items()}
  for _ in range(STEPS):
    runner.step(batch())
  for name, value in expected.items():
    np.testing.assert_allclose(runner.variables[name], value, rtol=2e-5, atol=1e-6, err_msg=name)
  changed = [name for name in expected if not np.array_equal(before[name], expected[name])]
  assert len(changed) >= 10  # Weights, statistics, momenta, averages, counters, metrics.


def test_counters_and_metrics_go_on(exported):
  folder, _, _ = exported
  runner = StepRunner(folder)
  for _ in range(3):
    runner.step(batch())
  assert int(runner.variables["global_step"]) == 3
  assert runner._program._cache_size() == 1  # Compiled once.
  counts = [int(v) for name, v in runner.variables.items() if name == "count"]
  assert 3 in counts


def test_inputs_are_told_and_checked(exported):
  runner = StepRunner(exported[0])
  assert runner.inputs[0] == ("0", [4, 8, 8, 3], "float32")
  assert {name: a.dtype for name, a in runner.synthetic().items()}["1/step"] == np.int64
  with pytest.raises(ValueError, match="input 0: float32"):
    runner.step({**batch(), "0": np.zeros([2, 8, 8, 3], np.float32)})


def test_it_runs_where_tensorflow_cannot_be_imported(exported, tmp_path):
  folder, _, expected = exported
  save_file(batch(), tmp_path / "batch.safetensors")
  program = f"""
    import sys
    for name in ("tensorflow", "tf_keras", "keras", "projects"):
      sys.modules[name] = None
    sys.argv = ["runner", {str(folder)!r}, "--steps", "{STEPS}",
                "--batch", {str(tmp_path / "batch.safetensors")!r},
                "--output", {str(tmp_path / "after.safetensors")!r}]
    from official.tpu import runner
    runner.main()
  """
  command = [sys.executable, "-c", textwrap.dedent(program)]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  assert f"{STEPS} steps" in done.stdout
  after = load_file(tmp_path / "after.safetensors")
  assert after.keys() == expected.keys()
  np.testing.assert_allclose(after["global_step"], STEPS)


def test_what_is_no_exported_step_is_refused(tmp_path):
  (tmp_path / "step.json").write_text('{"format": "another", "version": 1}')
  with pytest.raises(ValueError, match="no exported step"):
    StepRunner(tmp_path)
