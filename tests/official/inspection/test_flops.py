"""FLOPs against counts made by hand."""

import pytest
import tensorflow as tf
import tf_keras

from official.inspection.flops import count_flops

layers = tf_keras.layers


def traced(function, *shapes):
  specs = [tf.TensorSpec(shape) for shape in shapes]
  return tf.function(function).get_concrete_function(*specs)


def model_flops(*stack, shape):
  model = tf_keras.Sequential([layers.Input(shape), *stack])
  return count_flops(traced(lambda x: model(x, training=False), [1, *shape]))


CASES = {
  # 8 x 6 outputs of 5 channels, each from 3 x 3 x 4 inputs.
  "convolution": (layers.Conv2D(5, 3, padding="same"), (8, 6, 4), 2 * 8 * 6 * 5 * 9 * 4),
  # (9 - 3) / 2 + 1 = 4 and (7 - 3) / 2 + 1 = 3.
  "stride": (layers.Conv2D(5, 3, strides=2), (9, 7, 4), 2 * 4 * 3 * 5 * 9 * 4),
  # Each of 6 outputs sees one of 2 groups of 4 channels.
  "groups": (layers.Conv2D(6, 1, groups=2), (8, 6, 8), 2 * 8 * 6 * 6 * 4),
  "dilation": (layers.Conv2D(5, 3, dilation_rate=2, padding="same"), (8, 6, 4), 2 * 48 * 5 * 36),
  "depthwise": (
    layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
    (8, 6, 4),
    2 * 8 * 6 * 8 * 9,
  ),
  # Each of 8 x 6 x 4 inputs is spread over 3 x 3 x 5.
  "transposed": (layers.Conv2DTranspose(5, 3, 2, "same"), (8, 6, 4), 2 * 8 * 6 * 4 * 9 * 5),
  "3d": (layers.Conv3D(5, (3, 2, 1), padding="same"), (4, 8, 6, 2), 2 * 4 * 8 * 6 * 5 * 6 * 2),
  "dense": (layers.Dense(7), (11,), 2 * 11 * 7),
  "nothing": (layers.ReLU(), (8, 6, 4), 0),
}


@pytest.mark.parametrize("name", CASES)
def test_layers(name):
  layer, shape, expected = CASES[name]
  assert model_flops(layer, shape=shape) == expected


def test_layers_add_up():
  stack = [layers.Conv2D(4, 1), layers.BatchNormalization(), layers.Conv2D(2, 1)]
  assert model_flops(*stack, shape=(8, 8, 3)) == 2 * 64 * (3 * 4 + 4 * 2)


def test_attention():
  """4 heads of 6 on 10 queries of 24 channels and 15 keys of 24."""
  layer = layers.MultiHeadAttention(num_heads=4, key_dim=6)
  function = traced(lambda q, k: layer(q, k), [2, 10, 24], [2, 15, 24])
  projections = 2 * (10 * 24 * 24 + 2 * 15 * 24 * 24 + 10 * 24 * 24)
  assert count_flops(function) == 2 * (projections + 2 * 2 * 4 * 10 * 15 * 6)


@pytest.mark.parametrize(
  ("shapes", "transpose"),
  [
    (([3, 5], [5, 7]), {}),
    (([5, 3], [5, 7]), {"transpose_a": True}),
    (([5, 3], [7, 5]), {"transpose_a": True, "transpose_b": True}),
  ],
)
def test_matrix_products(shapes, transpose):
  function = traced(lambda a, b: tf.matmul(a, b, **transpose), *shapes)
  assert count_flops(function) == 2 * 3 * 5 * 7


def test_batches_of_matrix_products_broadcast():
  function = traced(lambda a, b: tf.matmul(a, b, adjoint_a=True), [4, 1, 5, 3], [2, 5, 7])
  assert count_flops(function) == 2 * 4 * 2 * 3 * 5 * 7


@pytest.mark.parametrize(
  ("equation", "shapes", "multiply_adds"),
  [
    ("abc,cd->abd", ([2, 3, 5], [5, 7]), 2 * 3 * 5 * 7),
    ("...c,cd->...d", ([2, 3, 5], [5, 7]), 2 * 3 * 5 * 7),
    ("b...c,b...d->b...cd", ([2, 1, 6, 5], [2, 4, 6, 7]), 2 * 4 * 6 * 5 * 7),
    ("b...c,b...d->b...cd", ([2, 4, 6, 5], [2, 1, 6, 7]), 2 * 4 * 6 * 5 * 7),
    ("...c,...d->...cd", ([6, 5], [4, 6, 7]), 4 * 6 * 5 * 7),
    ("abc->cab", ([2, 3, 5],), 0),
  ],
)
def test_einsum(equation, shapes, multiply_adds):
  function = traced(lambda *inputs: tf.raw_ops.Einsum(inputs=inputs, equation=equation), *shapes)
  assert count_flops(function) == 2 * multiply_adds


def test_functions_within_functions_count():
  product = tf.function(lambda a: tf.matmul(a, tf.ones([5, 7])))
  function = traced(lambda a: product(a) + product(a), [3, 5])
  assert count_flops(function) == 2 * 2 * 3 * 5 * 7


def test_a_function_traced_for_any_batch_counts_the_callers():
  variable = tf.Variable(tf.ones([5, 7]))
  product = tf.function(lambda a: tf.matmul(tf.matmul(a, variable), tf.ones([7, 2])))
  product.get_concrete_function(tf.TensorSpec([None, 5]))
  function = traced(product, [3, 5])
  assert count_flops(function) == 2 * 3 * (5 * 7 + 7 * 2)


def test_a_loop_that_multiplies_is_refused():
  body = lambda a: (tf.matmul(a, tf.ones([5, 5])),)
  function = traced(lambda a: tf.while_loop(lambda a: tf.reduce_sum(a) < 9, body, (a,)), [3, 5])
  with pytest.raises(ValueError, match=r"While '.*' holds"):
    count_flops(function)


def test_a_loop_that_does_not_multiply_is_none():
  function = traced(
    lambda a: tf.while_loop(lambda a: tf.reduce_sum(a) < 9, lambda a: (a + 1,), (a,)), [3]
  )
  assert count_flops(function) == 0


def test_dynamic_shapes_are_refused():
  with pytest.raises(ValueError, match="dynamic shape"):
    count_flops(traced(lambda a: tf.matmul(a, tf.ones([5, 7])), [None, 5]))
