import pytest
import tensorflow as tf

from official.tpu.origins import Origins, operations
from official.tpu.strategy import ReplicaStrategy
from tests.official.tpu.conftest import network, step_of
from tests.official.tpu.defects import line_of


def training(model):
  def step(images):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(model(images))  # here
    return tape.gradient(loss, model.trainable_variables)

  return step


@pytest.fixture(scope="module")
def traced():
  model = network()
  step = training(model)
  return step_of(step, tf.TensorSpec([2, 8, 8, 3]), model=model), step


@pytest.fixture(scope="module")
def origins(traced):
  return Origins(traced[0].graph, traced[0].model)


@pytest.mark.parametrize(
  ("name", "op", "layer", "backward"),
  [
    ("net/stem/Conv2D", "Conv2D", "net/stem", False),
    (
      "gradient_tape/net/stem/Conv2D/Conv2DBackpropFilter",
      "Conv2DBackpropFilter",
      "net/stem",
      True,
    ),
    ("gradient_tape/net/head/MatMul/MatMul", "MatMul", "net/head", True),
    # Parts that the compiler names after an operation, and called functions.
    ("net/stem/Conv2D/part", "Conv2D", "net/stem", False),
    ("StatefulPartitionedCall/net/head/MatMul", "MatMul", "net/head", False),
    ("call/net/head/unheard", "unheard", "net/head", False),
    # What is of no layer.
    ("Sum", "Sum", "", False),
    ("unheard/of_3", "of", "", False),
  ],
)
def test_names_of_the_compiler(origins, name, op, layer, backward):
  origin = origins.named(name)
  assert (origin.op, origin.layer, origin.backward) == (op, layer, backward)


def test_the_line_is_that_of_the_call_of_the_model(origins, traced):
  """Also of the gradient: not the line that asks for gradients."""
  here = line_of(traced[1])
  assert origins.named("net/stem/Conv2D").line == here
  assert origins.named("gradient_tape/net/stem/Conv2D/Conv2DBackpropFilter").line == here


def test_what_stands_in_a_called_function_has_its_line(origins, traced):
  assert origins.named("StatefulPartitionedCall/net/head/MatMul").line == line_of(traced[1])


def test_a_sum_over_replicas_is_of_the_line_that_asks_for_it():
  def step(x):
    return tf.distribute.get_replica_context().all_reduce("SUM", x)  # here

  strategy = ReplicaStrategy(2)
  traced = step_of(lambda x: strategy.run(step, args=(x,)), tf.TensorSpec([4]))
  assert Origins(traced.graph, tf.Module()).named("XlaAllReduce").line == line_of(step)


def test_a_gradient_of_another_name_finds_what_it_is_of():
  x = tf.TensorSpec([2, 4, 4, 3])

  def step(image):
    with tf.GradientTape() as tape:
      tape.watch(image)
      with tf.name_scope("block"):
        ones, zeros = tf.ones([3]), tf.zeros([3])
        y, *_ = tf.compat.v1.nn.fused_batch_norm(image, ones, zeros)  # here
        y = tf.nn.relu(y)
    return tape.gradient(y, image)

  traced = step_of(step, x)
  (name,) = [op.name for op in operations(traced.graph) if "FusedBatchNormGrad" in op.type]
  assert Origins(traced.graph, tf.Module()).named(name).line == line_of(step)


def test_operations_of_called_functions_are_among_them():
  inner = tf.function(lambda x: tf.math.erf(x), autograph=False)
  step = step_of(
    lambda x: tf.while_loop(lambda y: True, lambda y: inner(y), [x]), tf.TensorSpec([2])
  )
  types = [op.type for op in operations(step.graph)]
  assert types.count("Erf") == 1
