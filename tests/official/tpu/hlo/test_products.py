"""FLOPs against counts by hand; the programs are JAX's and TensorFlow's, not ours."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from official.tpu.hlo import parsing, products  # noqa: E402
from official.tpu.lowering import Program  # noqa: E402


def module_of(function, *shapes):
  specs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  computation = jax.jit(function).lower(*specs).compiler_ir("hlo")
  return parsing.parse(Program(computation.as_serialized_hlo_module_proto(), 0, ()).text())


def total(module):
  return sum(
    products.flops(each, where) * times for each, where, times in products.products(module)
  )


def convolution(stride=1, padding="VALID", groups=1, dilation=1):
  def run(image, kernel):
    return jax.lax.conv_general_dilated(
      image,
      kernel,
      (stride, stride),
      padding,
      rhs_dilation=(dilation, dilation),
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
      feature_group_count=groups,
    )

  return run


# Twice the outputs, times the window, times the input features of a group.
@pytest.mark.parametrize(
  ("options", "image", "kernel", "flops"),
  [
    ({}, (2, 10, 12, 3), (3, 3, 3, 16), 2 * (2 * 8 * 10 * 16) * 9 * 3),
    ({"stride": 2, "padding": "SAME"}, (1, 8, 8, 4), (3, 3, 4, 6), 2 * (4 * 4 * 6) * 9 * 4),
    ({"groups": 8, "padding": "SAME"}, (1, 7, 7, 8), (5, 5, 1, 8), 2 * (7 * 7 * 8) * 25),
    ({"dilation": 2}, (1, 9, 9, 2), (3, 3, 2, 5), 2 * (5 * 5 * 5) * 9 * 2),
  ],
)
def test_convolutions(options, image, kernel, flops):
  assert total(module_of(convolution(**options), image, kernel)) == flops


@pytest.mark.parametrize("stride", [1, 2])
def test_each_gradient_of_a_convolution_has_as_many_as_the_convolution(stride):
  """The gradient of a strided one is dilated: its zeros are no work."""
  run = convolution(stride, "SAME")

  def gradients(image, kernel):
    return jax.vjp(run, image, kernel)[1](run(image, kernel))

  shapes = (2, 8, 8, 3), (3, 3, 3, 8)
  assert total(module_of(gradients, *shapes)) == 3 * total(module_of(run, *shapes))


def test_a_gradient_of_a_strided_convolution_of_odd_size_by_hand():
  """7 → 4 places, padded by one on both sides: of 4 × 3 pairs along a side 2 are of the padding,
  which the gradient by the image has no place for."""
  run = convolution(2, "SAME")

  def gradient(image, kernel):
    return jax.vjp(lambda x: run(x, kernel), image)[1](run(image, kernel))

  shapes = (2, 7, 7, 3), (3, 3, 3, 8)
  channels = 2 * 3 * 8
  assert total(module_of(run, *shapes)) == 2 * channels * 12**2
  assert total(module_of(gradient, *shapes)) == 2 * channels * (12**2 + 10**2)


def test_an_outer_product_written_as_a_convolution():
  """As libtpu writes a product by channel: a window of 5 over images of one place."""

  def run(image, kernel):
    return jax.lax.conv_general_dilated(
      image, kernel, (1,), [(4, 4)], dimension_numbers=("NWC", "WIO", "NWC")
    )

  assert total(module_of(run, (7, 1, 3), (5, 3, 2))) == 2 * (7 * 5 * 2) * 3


def test_matrix_product():
  assert total(module_of(jnp.matmul, (32, 64), (64, 48))) == 2 * 32 * 64 * 48


def test_attention():
  batch, heads, queries, keys, depth = 2, 4, 10, 12, 8

  def attention(q, k, v):
    weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k))
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)

  shapes = (batch, queries, heads, depth), (batch, keys, heads, depth), (batch, keys, heads, depth)
  assert total(module_of(attention, *shapes)) == 2 * 2 * batch * heads * queries * keys * depth


def test_a_loop_counts_as_often_as_it_runs():
  text = """HloModule loop

%body (s: f32[4,4]) -> f32[4,4] {
  %s = f32[4,4]{1,0} parameter(0)
  ROOT %d = f32[4,4]{1,0} dot(%s, %s), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

ENTRY %main (x: f32[4,4]) -> f32[4,4] {
  %x = f32[4,4]{1,0} parameter(0)
  ROOT %w = f32[4,4]{1,0} while(%x), body=%body, backend_config={"known_trip_count":{"n":"5"}}
}
"""
  assert total(parsing.parse(text)) == 5 * 2 * 4 * 4 * 4


@pytest.mark.parametrize(("precision", "passes"), [("default", 1), ("high", 3), ("highest", 6)])
def test_passes_of_a_precision(precision, passes):
  def product(a, b):
    return jnp.matmul(a, b, precision=precision)

  module = module_of(product, (4, 4), (4, 4))
  ((instruction, _, _),) = products.products(module)
  assert products.passes(instruction) == passes


def test_features_of_a_product_and_of_a_convolution():
  ((dot, where, _),) = products.products(
    module_of(lambda a, b: jnp.einsum("bik,bkj->bij", a, b), (2, 3, 5), (2, 5, 7))
  )
  assert products.features(dot, where) == (5, 7)
  ((conv, where, _),) = products.products(module_of(convolution(), (1, 8, 8, 3), (3, 3, 3, 85)))
  assert products.features(conv, where) == (3, 85)


def test_the_forward_network_agrees_with_the_count_of_its_graph():
  """Against `official.inspection.flops`, which counts on TensorFlow's graph."""
  import tensorflow as tf
  import tf_keras

  from official.inspection.flops import count_flops

  layers = tf_keras.layers
  model = tf_keras.Sequential(
    [
      layers.Conv2D(8, 3, strides=2, padding="same", input_shape=(17, 17, 3)),
      layers.DepthwiseConv2D(3, padding="same"),
      layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
      layers.Flatten(),
      layers.Dense(5),
    ]
  )
  function = tf.function(lambda x: model(x, training=False), jit_compile=True, autograph=False)
  spec = tf.TensorSpec([2, 17, 17, 3])
  text = function.experimental_get_compiler_ir(spec)(stage="hlo")
  expected = count_flops(function.get_concrete_function(spec))
  np.testing.assert_allclose(total(parsing.parse(text)), expected, rtol=0.01)
