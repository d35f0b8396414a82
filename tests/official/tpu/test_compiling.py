"""The real TPU compiler on tiny programs, against counts by hand."""

import pytest
import tensorflow as tf
import tf_keras

from official.tpu import chips, compiling, failures
from official.tpu.budget import budget
from official.tpu.hlo import parsing
from official.tpu.inspection import inspect
from official.tpu.lowering import NotLowered, lower
from official.tpu.origins import Origins
from official.tpu.strategy import ReplicaStrategy
from tests.official.tpu.conftest import network, step_of
from tests.official.tpu.defects import DEFECTS, line_of

pytestmark = pytest.mark.usefixtures("libtpu")

BATCH, ROWS, INNER, COLUMNS = 4, 256, 512, 128


def compiled_step(step, topology):
  result = compiling.compile_for(lower(step), chips.parse(topology), limit=300)
  assert not result.error
  return result


@pytest.fixture(scope="module")
def product():
  """One bfloat16 matrix product on one chip."""
  specs = tf.TensorSpec([ROWS, INNER], tf.bfloat16), tf.TensorSpec([INNER, COLUMNS], tf.bfloat16)
  return budget(
    compiled_step(step_of(lambda a, b: tf.matmul(a, b), *specs), "v5e:1x1"), chips.parse("v5e:1x1")
  )


@pytest.fixture(scope="module")
def training_step():
  """A network's step with momentum, as one of four replicas."""
  strategy = ReplicaStrategy(4)
  with strategy.scope():
    model = network()
    optimizer = tf_keras.optimizers.legacy.SGD(0.1, momentum=0.9)

  def replica(images):
    with tf.GradientTape() as tape:
      loss = tf.reduce_mean(tf.square(model(images, training=True)))
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

  def step(images):
    with strategy.scope():
      strategy.run(replica, args=(images,))

  return step_of(step, tf.TensorSpec([BATCH, 8, 8, 3]), model=model, replicas=4)


@pytest.fixture(scope="module")
def training(training_step):
  return compiled_step(training_step, "v5e:2x2")


def test_memory_of_arguments_and_outputs(product):
  # All sides are multiples of a tile's: nothing is padded.
  assert product.memory.arguments == (ROWS * INNER + INNER * COLUMNS) * 2
  assert product.memory.outputs == ROWS * COLUMNS * 2
  assert product.memory.aliased == 0


def test_flops_of_a_product(product):
  assert product.model_flops == product.flops == 2 * ROWS * INNER * COLUMNS
  assert product.compiler_flops == pytest.approx(product.flops, rel=0.01)
  assert product.single_flops == 0


def test_bytes_of_a_product(product):
  # Each operand is read once, the result is written once.
  expected = (ROWS * INNER + INNER * COLUMNS + ROWS * COLUMNS) * 2
  assert product.bytes.plain == product.bytes.padded == expected


def test_bounds_of_a_product(product):
  assert product.compute_seconds == pytest.approx(2 * ROWS * INNER * COLUMNS / 197e12)
  assert product.memory_seconds == pytest.approx(product.bytes.padded / 819e9)
  assert product.bound_seconds == product.memory_seconds
  assert product.bound_mfu == pytest.approx(product.compute_seconds / product.memory_seconds)
  assert product.fill == 1


def test_variables_take_the_place_of_the_old_ones(training, training_step):
  memory = budget(training, chips.parse("v5e:2x2")).memory
  held = sum(tf.size(v).numpy() * v.dtype.size for v in training_step.graph.variables)
  assert memory.aliased >= held - 16  # The counter and the rates are not written, or scalars.
  assert memory.total < memory.capacity


def test_gradients_are_summed_over_replicas(training):
  found = budget(training, chips.parse("v5e:2x2"))
  assert found.collective_bytes == (3 * 3 * 3 * 16 + 16 * 10) * 4
  assert found.collective_seconds == pytest.approx(2 * 3 / 4 * found.collective_bytes / 200e9)


def test_flops_of_a_training_step(training):
  found = budget(training, chips.parse("v5e:2x2"))
  stem, head = BATCH * 64 * 16 * 27, BATCH * 16 * 10
  # Forward and by kernels; by its input only where there is a layer before.
  assert found.model_flops == 2 * (2 * stem + 3 * head)
  assert found.single_flops == found.model_flops


def test_costs_are_mapped_to_layers(training, training_step):
  origins = Origins(training_step.graph, training_step.model)
  found = budget(training, chips.parse("v5e:2x2"))
  named = {(o.layer, o.backward) for o in (origins.named(cost.op_name) for cost in found.costs)}
  assert {("net/stem", False), ("net/stem", True), ("net/head", False)} <= named


def test_float32_products_in_a_model_of_bfloat16_are_told(training, training_step):
  origins = Origins(training_step.graph, training_step.model)
  module, lowered = parsing.parse(training.optimized), parsing.parse(training.lowered)
  found = budget(training, chips.parse("v5e:2x2"))
  rules = {
    precision: {each.rule for each in inspect(module, lowered, found, precision, origins)}
    for precision in ("float32", "bfloat16")
  }
  assert "float32-product" in rules["bfloat16"]
  assert "float32-product" not in rules["float32"]


def test_slow_operations_are_told_with_their_lines():
  def step(table, rows):
    ordered = tf.sort(rows)
    return tf.gather(table, ordered)  # here

  specs = tf.TensorSpec([512, 256]), tf.TensorSpec([64], tf.int32)
  traced = step_of(step, *specs)
  result = compiled_step(traced, "v5e:1x1")
  module, lowered = parsing.parse(result.optimized), parsing.parse(result.lowered)
  origins = Origins(traced.graph, traced.model)
  found = inspect(module, lowered, budget(result, chips.parse("v5e:1x1")), "float32", origins)
  assert {"sort", "gather"} <= {each.rule for each in found}
  assert [each.line for each in found if each.rule == "gather"] == [line_of(step)]


def test_what_is_too_large_says_so():
  def step(x):
    y = tf.random.stateless_uniform([60000, 60000], [1, 2])  # here
    return tf.linalg.matmul(y, x) + tf.linalg.matmul(y * x[0, 0], x, transpose_a=True)

  traced = step_of(step, tf.TensorSpec([60000, 60000]))
  result = compiling.compile_for(lower(traced), chips.parse("v5e:1x1"), limit=300)
  finding = failures.explain(result, Origins(traced.graph, traced.model))
  assert finding.rule == "memory"
  assert "of HBM" in finding.reason
  assert finding.line == line_of(step)


@pytest.mark.parametrize("name", ["bicubic", "py_function"])
def test_what_cannot_be_lowered_names_the_line(name):
  step, specs, _ = DEFECTS[name]
  with pytest.raises(NotLowered) as caught:
    lower(step_of(step, *specs))
  assert caught.value.finding.line == line_of(step)


def test_the_compiler_is_stopped_when_the_time_is_up(training_step):
  result = compiling.compile_for(lower(training_step), chips.parse("v5e:2x2"), limit=0.1)
  assert "time limit" in result.error
  assert failures.explain(result, Origins(training_step.graph, tf.Module())).rule == "time"


def test_results_are_remembered_by_program_topology_and_versions(tmp_path, monkeypatch):
  one = step_of(lambda x: x + 1, tf.TensorSpec([8]))
  two = step_of(lambda x: x + 2, tf.TensorSpec([8]))
  topology = chips.parse("v5e:1x1")

  def run(step, where=topology):
    return compiling.compile_for(lower(step), where, cache=tmp_path)

  first, again = run(one), run(one)
  assert (first.cached, again.cached) == (False, True)
  assert (again.optimized, again.memory) == (first.optimized, first.memory)
  assert not run(two).cached
  assert not run(one, chips.parse("v6e:1x1")).cached
  monkeypatch.setattr(compiling, "versions", lambda: {"libtpu": "another"})
  assert not run(one).cached
