"""The first value that is not finite is found, with its name and its step."""

import pytest
import tensorflow as tf

from official.training.divergence import Diverged, FiniteWatch
from tests.official.training import runs


def _record(watch, history, jit_compile=False):
  @tf.function(jit_compile=jit_compile)
  def step(number, loss, box):
    tf.distribute.get_strategy().run(
      lambda: watch.record({"loss": loss, "box": box, "count": tf.constant(3)}, number)
    )

  for number, (loss, box) in enumerate(history, 1):
    step(tf.constant(number, tf.int64), tf.constant(loss), tf.constant(box, tf.bfloat16))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
  ("history", "expected"),
  [
    ([(1.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0)], "box is not finite at step 2;"),
    ([(1.0, 1.0), (float("nan"), float("nan"))], "loss is not finite at step 2;"),
    ([(float("-inf"), 1.0), (1.0, 1.0)], "loss is not finite at step 1;"),
  ],
)
def test_names_the_first(history, expected, jit_compile):
  watch = FiniteWatch()
  _record(watch, history, jit_compile)
  with pytest.raises(Diverged, match=expected):
    watch.check()


def test_finite_values_pass():
  watch = FiniteWatch()
  watch.check()
  _record(watch, [(1.0, 3e38), (-1e38, 0.0)])
  watch.check()


def _second_replica_alone():
  with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    watch = FiniteWatch()
    strategy = tf.distribute.get_strategy()

    @tf.function
    def step(number):
      def replica():
        context = tf.distribute.get_replica_context()
        second = tf.equal(context.replica_id_in_sync_group, 1)
        bad = tf.logical_and(second, number >= 3)
        watch.record({"loss": tf.where(bad, float("nan"), 1.0)}, number)

      strategy.run(replica)

    for number in range(1, 6):
      step(tf.constant(number, tf.int64))
    with pytest.raises(Diverged, match="loss is not finite at step 3;"):
      watch.check()


def test_one_of_two_replicas(tmp_path):
  runs.call(_second_replica_alone, tmp_path / "log", devices=2)
