import re

import pytest
import tensorflow as tf
import tf_keras

from official.tpu.strategy import ReplicaStrategy


def program(replicas, make, run):
  """The HLO of one replica, as text."""
  strategy = ReplicaStrategy(replicas)
  with strategy.scope():
    parts = make()

  def step(x):
    with strategy.scope():
      return strategy.run(run, args=(x, *parts))

  function = tf.function(step, jit_compile=True, autograph=False)
  return function.experimental_get_compiler_ir(tf.TensorSpec([4, 6]))(stage="hlo")


def sums(text):
  """Shape and groups of each all-reduce."""
  return re.findall(r"= (\S+?)(?:\{[\d,]*\})? all-reduce\(.*replica_groups=(\{\{[\d,]*\}\})", text)


def dense():
  model = tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(6,))])
  return model, tf_keras.optimizers.legacy.SGD(0.1)


def train(x, model, optimizer):
  with tf.GradientTape() as tape:
    loss = tf.reduce_mean(model(x))
  variables = model.trainable_variables
  optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
  return loss


def test_each_gradient_is_summed_once_over_all_replicas():
  found = sums(program(4, dense, train))
  assert sorted(found) == [("f32[3]", "{{0,1,2,3}}"), ("f32[6,3]", "{{0,1,2,3}}")]


def test_one_replica_sums_nothing():
  assert sums(program(1, dense, train)) == []


@pytest.mark.parametrize("synchronized", [False, True])
def test_batch_norm_sums_its_statistics_only_where_it_is_synchronized(synchronized):
  def make():
    return (tf_keras.layers.BatchNormalization(synchronized=synchronized),)

  text = program(2, make, lambda x, layer: layer(x, training=True))
  assert bool(sums(text)) == synchronized


def test_a_mean_is_the_sum_over_replicas_divided():
  def mean(x):
    return tf.distribute.get_replica_context().all_reduce("MEAN", x)

  text = program(4, tuple, mean)
  assert sums(text) == [("f32[4,6]", "{{0,1,2,3}}")]
  assert "constant(4)" in text or "constant(0.25)" in text


def test_a_task_sees_all_replicas():
  strategy = ReplicaStrategy(8)
  seen = strategy.run(lambda: tf.distribute.get_replica_context().num_replicas_in_sync)
  assert (seen, strategy.num_replicas_in_sync) == (8, 8)
