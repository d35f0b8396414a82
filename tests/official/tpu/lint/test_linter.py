import pytest
import tensorflow as tf
import tf_keras

from official.tpu.findings import Level
from official.tpu.lint import linter, tracing
from tests.official.tpu.defects import DEFECTS, line_of


def findings(step, specs, precision="bfloat16"):
  function = tf.function(step, autograph=False)
  try:
    graph = function.get_concrete_function(*specs)
  except Exception as error:
    return [tracing.explain(error)]
  return linter.lint(graph, tf.Module(), precision)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found_and_its_line_named(name):
  step, specs, rules = DEFECTS[name]
  found = {(finding.rule, finding.line) for finding in findings(step, specs)}
  assert found & {(rule, line_of(step)) for rule in rules}, found


def clean(x):
  tf.debugging.assert_equal(tf.shape(x)[0], 4, "four rows")
  chosen = tf.where(x > 0, x, 0.5)
  return tf.reduce_sum(
    tf.cast(tf.linalg.matmul(tf.cast(chosen, tf.bfloat16), [[1.0]] * 8), x.dtype)
  )


def test_nothing_is_found_where_nothing_is_wrong():
  assert findings(clean, [tf.TensorSpec([4, 8])]) == []


def test_float32_is_no_leak_in_a_model_of_float32():
  step, specs, _ = DEFECTS["product_of_float32"]
  assert findings(step, specs, "float32") == []


def test_float64_is_no_leak_in_a_model_of_float64():
  step, specs, _ = DEFECTS["float64_cast"]
  assert findings(step, specs, "float64") == []


def test_what_a_line_makes_several_times_is_one_finding():
  def step(x):
    return [tf.where(x > limit) for limit in range(3)]

  (found,) = findings(step, [tf.TensorSpec([4])])
  assert (found.op, found.count) == ("Where", 3)


def test_a_constant_that_meets_float64_is_not_where_it_begins():
  def step(x):
    return tf.cast(x, tf.float64) * 2.0 + 1.0

  found = findings(step, [tf.TensorSpec([4])])
  assert [(each.rule, each.op) for each in found] == [("float64", "Cast")]


def test_a_string_for_an_assertion_is_one_only_if_it_is_no_constant():
  def step(x):
    tf.debugging.Assert(tf.reduce_all(x > 0), ["not positive", tf.strings.as_string(x)])
    return x

  found = findings(step, [tf.TensorSpec([4])])
  assert [(each.rule, each.op) for each in found] == [("string", "AsString")]


def test_errors_come_first():
  def step(x):
    return tf.cast(x, tf.float64), tf.where(x > 0)

  levels = [finding.level for finding in findings(step, [tf.TensorSpec([4])])]
  assert levels == [Level.ERROR, Level.WARNING]


def test_what_stands_in_a_loop_is_found():
  def step(x):
    return tf.while_loop(
      lambda i, y: i < 3, lambda i, y: (i + 1, y + tf.image.resize(y, [8, 8], "area")), (0, x)
    )

  rules = {finding.rule for finding in findings(step, [tf.TensorSpec([2, 8, 8, 3])], "float32")}
  assert "no-kernel" in rules


def test_a_finding_in_a_layer_names_it():
  class Mask(tf_keras.layers.Layer):
    def call(self, x):
      return tf.boolean_mask(x, x > 0)

  model = tf_keras.Sequential([tf_keras.layers.Dense(3, name="head"), Mask(name="mask")], "net")
  function = tf.function(lambda x: model(x), autograph=False)
  graph = function.get_concrete_function(tf.TensorSpec([4, 8]))
  found = linter.lint(graph, model, "float32")
  assert [(each.op, each.layer) for each in found if each.rule == "dynamic-shape"] == [
    ("Where", "net/mask")
  ]
