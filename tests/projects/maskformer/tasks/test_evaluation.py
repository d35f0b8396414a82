"""Figures of outputs that are known to be right, and of ones that say nothing."""

import numpy as np
import pytest
import tensorflow as tf

import projects.registry  # noqa: F401
from tests.projects.maskformer.tasks.small import make_task


@pytest.fixture(scope="module")
def task(shapes):
  return make_task(shapes, evaluations=["panoptic", "semantic", "instance"])


@pytest.fixture(scope="module")
def model(task):
  return task.build_model()


def _perfect(inputs):
  """Outputs that say the truth: a query for each segment, crowds too, lest others win theirs."""
  truth = inputs[1]["groundtruths"]
  classes = tf.where(truth["valid"], truth["classes"], 10)[:, :20]
  places = tf.range(1, 21)[:, None, None]
  masks = tf.cast(truth["segments"], tf.int32)[:, None] == places
  return {
    "class_logits": 40.0 * tf.one_hot(classes, 11),
    "mask_logits": tf.where(masks, 40.0, -40.0),
  }


def test_perfect_outputs_have_figures_of_one_and_none_have_zero(task, model):
  states = {"perfect": None, "none": None}
  step = tf.function(lambda inputs: task.validation_step(inputs, model))
  for inputs in task.build_inputs(task.task_config.validation_data):
    outputs = step(inputs)
    assert outputs["mask_logits"].shape == (4, 20, 16, 16)
    perfect = _perfect(inputs)
    nothing = {
      "class_logits": 40.0 * tf.one_hot(tf.fill([4, 20], 10), 11),
      "mask_logits": tf.fill([4, 20, 64, 64], -40.0),
    }
    for name, logits in (("perfect", perfect), ("none", nothing)):
      logs = tf.nest.map_structure(lambda x: (x,), outputs | logits)
      states[name] = task.aggregate_logs(states[name], logs)
  perfect, none = (task.reduce_aggregated_logs(states[name]) for name in ("perfect", "none"))
  for figure in ("PQ", "SQ", "RQ", "PQ_things", "PQ_stuff", "mIoU", "AP"):
    assert perfect[figure] == pytest.approx(1), figure
  assert none["PQ"] == 0
  assert none["AP"] == pytest.approx(0)
  # Six held-out images; two more fill the last batch.
  assert len(np.unique(states["perfect"]["evaluations"][0].evaluator.state()[:, 0])) == 6
  assert perfect["image/segments"].shape == (4, 320, 320, 3)


@pytest.fixture(scope="module")
def logs(task):
  """Of each batch of an evaluation, outputs that are right about most images, and blurred."""
  steps = []
  for inputs in task.build_inputs(task.task_config.validation_data):
    labels, outputs = inputs[1], _perfect(inputs)
    wrong = (labels["groundtruths"]["source_id"] % 3 == 0)[:, None, None]
    outputs["class_logits"] = tf.where(
      wrong, tf.roll(outputs["class_logits"], 1, 2), outputs["class_logits"]
    )
    outputs["mask_logits"] = tf.roll(outputs["mask_logits"], 2, 3)
    steps.append(outputs | {key: labels[key] for key in ("groundtruths", "shown")})
  return steps


def _aggregated(task, logs, replicas):
  """The state after all steps; `replicas` are the rows of each."""
  state = None
  for step in logs:
    split = tf.nest.map_structure(lambda x: tuple(x[rows] for rows in replicas), step)
    state = task.aggregate_logs(state, split)
  return state


HALVES = (slice(0, 2), slice(2, 4))


def test_two_replicas_have_the_figures_of_one(task, logs):
  one, two = (_aggregated(task, logs, split) for split in ((slice(0, 4),), HALVES))
  expected = task.reduce_aggregated_logs(one)
  for figure in ("PQ", "SQ", "mIoU", "pACC", "AP"):
    assert 0.1 < expected[figure] < 0.95, figure
  assert task.reduce_aggregated_logs(two) == expected


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_merged_workers_have_the_figures_of_one(task, logs, order):
  workers = [_aggregated(task, logs, (HALVES[place],)) for place in order]
  alone = task.reduce_aggregated_logs(workers[0])
  mine, theirs = (state["evaluations"] for state in workers)
  for each, other in zip(mine, theirs, strict=True):
    each.evaluator.merge(other.evaluator.state())
  expected = task.reduce_aggregated_logs(_aggregated(task, logs, (slice(0, 4),)))
  assert task.reduce_aggregated_logs(workers[0]) == expected != alone
