"""What training shows when it is not on a terminal."""

import tensorflow as tf

from official.training.progress import TrainingProgress


def test_counts_from_where_it_resumed(capsys):
  step = tf.Variable(6, dtype=tf.int64)
  with TrainingProgress(step, train_steps=10, batch_size=4) as progress:
    step.assign(8)
    progress.trained({"training_loss": tf.constant(1.5)})
    progress.evaluated({"AP": 0.125, "image/boxes": tf.zeros([1, 2, 2, 3])})
    step.assign(10)
    progress.trained({"training_loss": tf.constant(0.25)})
  told, end = capsys.readouterr().err.splitlines()
  assert told == "step 8: AP 0.125"
  assert end.startswith("training: 10/10 steps (100 %)")
  assert "loss 0.25," in end
  assert "images/s" in end


def test_evaluation_alone_has_no_bar(capsys):
  progress = TrainingProgress(tf.Variable(7, dtype=tf.int64), train_steps=10, batch_size=4)
  progress.evaluated({"AP": 1.0})
  assert capsys.readouterr().err == "step 7: AP 1\n"


def test_other_workers_are_silent(capsys):
  step = tf.Variable(0, dtype=tf.int64)
  with TrainingProgress(step, train_steps=2, batch_size=1, visible=False) as progress:
    progress.trained({"training_loss": 1.0})
    progress.evaluated({"AP": 1.0})
  assert capsys.readouterr().err == ""
