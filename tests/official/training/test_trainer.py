"""Evaluation leaves training as it was, whatever happens in it."""

import pytest
import tensorflow as tf

from official.core import task_factory, train_utils
from official.training.interruption import Interrupted
from official.training.trainer import Trainer
from tests.official.training import fake


class _StopAtSecondBatch:
  def __init__(self):
    self.checks = 0

  def check(self):
    self.checks += 1
    if self.checks == 2:
      raise Interrupted(15)


def _trainer(interruption=None):
  params = fake.fake()
  task = task_factory.get_task(params.task)
  return Trainer(
    params,
    task,
    model=task.build_model(),
    optimizer=train_utils.create_optimizer(task, params),
    interruption=interruption,
  )


def _state(trainer):
  return [v.numpy().tobytes() for pair in trainer.averages.pairs for v in pair]


@pytest.mark.parametrize("interruption", [None, _StopAtSecondBatch()])
def test_weights_and_averages_after_an_evaluation(interruption):
  with tf.distribute.OneDeviceStrategy("CPU:0").scope():
    trainer = _trainer(interruption)
    trainer.initialize()
    for _ in range(3):
      trainer.train(tf.constant(2))
    before = _state(trainer)
    if interruption:
      with pytest.raises(Interrupted):
        trainer.evaluate(tf.constant(-1))
    else:
      trainer.evaluate(tf.constant(-1))
    assert _state(trainer) == before


def test_average_is_of_the_weights_and_not_of_zeros():
  with tf.distribute.OneDeviceStrategy("CPU:0").scope():
    trainer = _trainer()
    trainer.initialize()
    first = [weight.numpy() for _, weight in trainer.averages.pairs]
    trainer.train(tf.constant(1))
    for (average, weight), start in zip(trainer.averages.pairs, first, strict=True):
      # TFMG's dynamic decay is (1 + t) / (10 + t) after update t.
      expected = start * 2 / 11 + weight.numpy() * 9 / 11
      assert average.numpy() == pytest.approx(expected, abs=1e-6)
