"""The best checkpoint survives kills, damage and metrics that are not finite."""

import json

import pytest
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.training.best import BestCheckpointExporter


@pytest.fixture
def checkpoint():
  model = tf_keras.Sequential([tf_keras.Input([1]), tf_keras.layers.Dense(1)])
  return tf.train.Checkpoint(model=model, global_step=tf.Variable(0, dtype=tf.int64))


def _export(folder, checkpoint, *metrics, better="higher"):
  exporter = BestCheckpointExporter(str(folder), "AP", better)
  return [
    exporter.maybe_export_checkpoint(checkpoint, {"AP": tf.constant(value)}, step)
    for step, value in metrics
  ]


def _best(folder):
  info = json.loads((folder / "info.json").read_text())
  assert tf.train.latest_checkpoint(folder).endswith(f"best_ckpt-{info['best_ckpt_global_step']}")
  assert len(list(folder.glob("*.index"))) == 1
  return info["best_ckpt_global_step"]


def test_keeps_the_highest(tmp_path, checkpoint):
  nan = float("nan")
  exported = _export(tmp_path, checkpoint, (1, nan), (2, 0.2), (3, 0.2), (4, nan), (5, 0.4))
  assert exported == [False, True, False, False, True]
  assert _best(tmp_path) == 5


def test_keeps_the_lowest(tmp_path, checkpoint):
  exported = _export(tmp_path, checkpoint, (1, 0.3), (2, 0.4), (3, -1.0), better="lower")
  assert exported == [True, False, True]


def test_goes_on_after_a_restart(tmp_path, checkpoint):
  _export(tmp_path, checkpoint, (1, 0.3))
  assert _export(tmp_path, checkpoint, (2, 0.2), (3, 0.5)) == [False, True]
  assert _best(tmp_path) == 3


@pytest.mark.parametrize("text", ["", '{"AP": 0.', '{"mAP": 1}', "[]", '{"AP": "x"}'])
def test_damaged_note_is_passed_over(tmp_path, checkpoint, capsys, text):
  _export(tmp_path, checkpoint, (1, 0.3))
  (tmp_path / "info.json").write_text(text)
  assert _export(tmp_path, checkpoint, (2, 0.2)) == [True]
  assert _best(tmp_path) == 2
  assert "info.json is unusable" in capsys.readouterr().err


def test_export_is_the_model_alone(tmp_path, checkpoint):
  _export(tmp_path, checkpoint, (1, 0.3))
  names = [name for name, _ in tf.train.list_variables(tf.train.latest_checkpoint(tmp_path))]
  assert {name.split("/")[0] for name in names} == {
    "_CHECKPOINTABLE_OBJECT_GRAPH",
    "global_step",
    "model",
    "save_counter",
  }


def test_metric_that_nobody_reports(tmp_path, checkpoint):
  exporter = BestCheckpointExporter(str(tmp_path), "AP5O", "higher")
  with pytest.raises(UserError, match="'AP5O' is not among the metrics; did you mean 'AP50'"):
    exporter.maybe_export_checkpoint(checkpoint, {"AP50": 1.0, "loss": 1.0}, 1)
