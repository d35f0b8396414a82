"""The task: it learns, treats weights by their role, and starts from other runs."""

import types

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.core import exp_factory
from official.modeling import optimization
from official.training.wrapping import innermost
from projects.maskformer.tasks import maskformer
from tests.projects.maskformer.tasks.small import make_task


@pytest.fixture(scope="module")
def task(shapes):
  return make_task(shapes)


@pytest.fixture(scope="module")
def model(task):
  tf_keras.utils.set_random_seed(0)
  return task.build_model()


def _optimizer():
  config = exp_factory.get_exp_config("maskformer_tiny_shapes").trainer.optimizer_config
  config.warmup.type = None
  factory = optimization.OptimizerFactory(config)
  return factory.build_optimizer(factory.build_learning_rate())


def test_a_batch_is_learnt_and_groups_are_assigned(task, model):
  inputs = next(iter(task.build_inputs(task.task_config.train_data)))
  optimizer = _optimizer()
  step = tf.function(lambda: task.train_step(inputs, model, optimizer))
  first = step()
  last = [step() for _ in range(25)][-1]
  assert float(last[task.loss]) < 0.6 * float(first[task.loss])
  for term in ("class_loss", "mask_loss", "dice_loss"):
    assert float(last[term]) < float(first[term])
  kernel = model.heads.classes.kernel
  assert innermost(optimizer)._group_of(kernel).decays
  assert not innermost(optimizer)._group_of(model.decoder.query_positions).decays


def test_what_a_step_draws_follows_from_the_runs_seed_and_the_step(shapes, monkeypatch):
  class Drawn(Exception):
    pass

  def stop(seed, step):
    raise Drawn(seed, int(step))

  monkeypatch.setattr(maskformer, "drawn_from", stop)
  task, optimizer = make_task(shapes, train_data={"seed": 5}), _optimizer()
  inputs = next(iter(task.build_inputs(task.task_config.train_data)))
  optimizer.iterations.assign(7)
  with pytest.raises(Drawn) as caught:
    task.train_step(inputs, types.SimpleNamespace(variable_dtype="float32"), optimizer)
  assert caught.value.args == (5, 7)


def test_a_run_starts_from_another_ones_weights_or_from_a_part_of_them(shapes, model, tmp_path):
  prefix = tf.train.Checkpoint(model=model).save(str(tmp_path / "ckpt"))
  # Of another number of classes: only parts fit.
  changes = {"init_checkpoint": prefix, "model": {"num_classes": 7}}
  other = make_task(shapes, **changes, init_checkpoint_modules=["backbone"])
  heir = other.build_model()
  before = heir.heads.classes.kernel.numpy()
  other.initialize(heir)
  for mine, theirs in zip(heir.backbone.weights, model.backbone.weights, strict=True):
    np.testing.assert_array_equal(mine, theirs)
  np.testing.assert_array_equal(heir.heads.classes.kernel, before)
  with pytest.raises(UserError, match="of another model"):
    make_task(shapes, **changes).initialize(heir)
  with pytest.raises(UserError, match="no part 'backbon'; did you mean 'backbone'"):
    make_task(shapes, **changes, init_checkpoint_modules=["backbon"]).initialize(heir)


def test_a_wrong_number_of_classes_is_named(shapes):
  task = make_task(shapes, model={"num_classes": 133})
  with pytest.raises(UserError, match=r"133.*10 categories"):
    task.build_inputs(task.task_config.train_data)


def test_a_baseline_has_its_own_loss_and_semantic_figures_alone(shapes):
  task = make_task(shapes, model={"variant": "per_pixel_r50"}, evaluations=["panoptic"])
  assert [metric.name for metric in task.build_metrics()] == ["semantic_loss"]
  with pytest.raises(UserError, match=r"no 'panoptic'.*semantic"):
    task.aggregate_logs(None, {})
