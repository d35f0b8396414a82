"""The variants: size, shapes, dtypes, serialization, gradients, and the traps of their sources."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.layers.convolution import ConvNorm
from projects.yolo.configs.yolo import Model
from projects.yolo.modeling.builder import LAYERS, Style
from projects.yolo.modeling.decoding import Coordinates, decode_level
from projects.yolo.modeling.factory import build_yolo
from projects.yolo.modeling.networks import build_backbone, build_decoder, build_head
from projects.yolo.modeling.variants import get_variant
from projects.yolo.modeling.yolo import Yolo

RNG = np.random.default_rng(0)
SIZE = 64


def _small(variant="v4-tiny", **changes):
  return build_yolo(Model(**{"variant": variant, "num_classes": 3, "input_size": SIZE} | changes))


def _images(batch=2, dtype="float32"):
  return tf.constant(RNG.random([batch, SIZE, SIZE, 3]), dtype)


# One of each kind; the others are made of the same layers, and larger.
@pytest.fixture(params=["v3-tiny", "v4-tiny", "v4-csp-narrow", "v7-tiny"])
def variant(request):
  return request.param


@pytest.mark.parametrize(
  ("name", "trainable"),
  # Counted from the .cfg files: convolution weights, two BatchNorm parameters, output biases.
  [("v3-tiny", 8_852_366), ("v4-tiny", 6_056_606), ("v4-csp", 52_921_437)],
)
def test_parameters_of_the_coco_networks(name, trainable):
  table = get_variant(name)
  backbone = build_backbone(table, Style(table.activation), (table.input_size,) * 2 + (3,))
  decoder = build_decoder(table, Style(table.activation), backbone)
  head = build_head(table, Style(table.activation), decoder, dict.fromkeys(table.levels, 3), 80)
  parts = (backbone, decoder, head)
  assert sum(int(tf.size(w)) for part in parts for w in part.trainable_weights) == trainable
  for level, output in head.output.items():
    grid = table.input_size >> int(level)
    assert output.shape == (None, grid, grid, 3, 85)


def test_every_weight_has_a_gradient(variant):
  model = _small(variant)
  with tf.GradientTape() as tape:
    raw = model(_images(), training=True)["raw"]
    total = tf.add_n([tf.reduce_sum(tf.square(value)) for value in raw.values()])
  for weight, gradient in zip(
    model.trainable_weights, tape.gradient(total, model.trainable_weights), strict=True
  ):
    assert gradient is not None, weight.name
    assert np.abs(gradient).max() > 0, weight.name


def test_graph_and_xla_equal_eager_and_batch_equals_single(variant):
  model, images = _small(variant), _images(3)
  forward = lambda x: model(x, training=False)["raw"]
  eager = forward(images)
  for jit in (False, True):
    for level, value in tf.function(forward, jit_compile=jit)(images).items():
      np.testing.assert_allclose(value, eager[level], rtol=2e-3, atol=2e-4)
  single = forward(images[1:2])
  for level, value in single.items():
    np.testing.assert_allclose(value[0], eager[level][1], rtol=2e-3, atol=2e-4)


def test_model_survives_its_config_and_its_weights_a_file(variant, tmp_path):
  anchors = [float(side) for side in range(10, 10 + 4 * len(get_variant(variant).levels))]
  model, images = _small(variant, anchors=anchors), _images()
  twin = tf_keras.utils.deserialize_keras_object(tf_keras.utils.serialize_keras_object(model))
  assert isinstance(twin, Yolo)
  assert twin.coordinates == model.coordinates
  twin.build([None, SIZE, SIZE, 3])
  tf.train.Checkpoint(model=model).write(str(tmp_path / "weights"))
  tf.train.Checkpoint(model=twin).read(str(tmp_path / "weights")).assert_consumed()
  for level, value in model(images, training=False)["raw"].items():
    np.testing.assert_array_equal(twin(images, training=False)["raw"][level], value)


@pytest.fixture
def under_policy():
  """Calls a function under a Keras dtype policy."""
  before = tf_keras.mixed_precision.global_policy()

  def call(policy, function):
    tf_keras.mixed_precision.set_global_policy(policy)
    return function()

  yield call
  tf_keras.mixed_precision.set_global_policy(before)


def test_float64_and_bfloat16(variant, under_policy):
  images = RNG.random([1, SIZE, SIZE, 3])
  exact = under_policy("float64", lambda: _small(variant))
  golden = exact(tf.constant(images), training=False)["raw"]
  for policy, tolerance in (("float32", 1e-4), ("mixed_bfloat16", 0.1)):
    model = under_policy(policy, lambda: _small(variant))
    model.set_weights(exact.get_weights())
    raw = model(tf.constant(images, model.compute_dtype), training=False)["raw"]
    assert {weight.dtype for weight in model.weights} == {tf.float32}
    for level, want in golden.items():
      assert (want.dtype, raw[level].dtype) == (tf.float64, tf.float32)
      error = np.abs(raw[level] - tf.cast(want, tf.float32)).max()
      assert error < tolerance * np.abs(want).max()


def test_uint8_images_are_scaled_to_one():
  model = _small()
  bytes_ = RNG.integers(0, 256, [1, SIZE, SIZE, 3]).astype(np.uint8)
  floats = tf.constant(bytes_ / 255, tf.float32)
  for level, value in model(bytes_, training=False)["raw"].items():
    np.testing.assert_allclose(value, model(floats, training=False)["raw"][level], atol=1e-5)


@pytest.fixture(scope="module")
def small_v4():
  """YOLOv4 at 64 pixels."""
  return _small("v4")


def test_v4_has_mish_in_its_backbone_and_leaky_rectifiers_behind(small_v4):
  kinds = lambda part: {
    layer.get_config()["activation"] for layer in part.layers if isinstance(layer, ConvNorm)
  }
  assert kinds(small_v4.backbone) == {"mish"}
  assert kinds(small_v4.decoder) == kinds(small_v4.head) == {"leaky"}


def test_v4_reaches_less_far_at_every_coarser_level(small_v4):
  raw = {str(n): tf.fill([1, SIZE >> n, SIZE >> n, 3, 8], -9.0) for n in (3, 4, 5)}
  for level, reach in ((3, 1.2), (4, 1.1), (5, 1.05)):
    boxes, _ = decode_level(raw[str(level)], level, small_v4.coordinates)
    low = reach / (1 + np.exp(9.0)) - (reach - 1) / 2
    np.testing.assert_allclose(boxes[0, 0, 0] / 2**level, low, rtol=1e-4)


def test_v4_survives_its_config(small_v4):
  json_ = json.loads(json.dumps(tf_keras.utils.serialize_keras_object(small_v4)))
  assert tf_keras.utils.deserialize_keras_object(json_).coordinates == small_v4.coordinates


def test_tiny_csp_takes_the_second_half_of_the_channels():
  # Darknet's group_id=1; some ports take the first half.
  half = LAYERS["group"]("half", Style("leaky"), groups=2, index=1)
  np.testing.assert_array_equal(half(tf.constant([[1.0, 2, 3, 4]])), [[3, 4]])


def test_pooling_at_stride_one_pads_with_minus_infinity():
  # Darknet's v3-tiny; torch ports pad zeros behind, which win over negative features.
  pool = LAYERS["pool"]("pool", Style("leaky"), size=2, strides=1)
  got = pool(tf.constant([[[[-1.0], [-2]], [[-3], [-4]]]]))
  np.testing.assert_array_equal(got[0, ..., 0], [[-1, -2], [-3, -4]])


@pytest.mark.parametrize(("form", "scale"), [("exponential", 1.05), ("scaled", 2.0)])
def test_decoding_is_darknets(form, scale):
  anchors = ((12.0, 16.0), (36.0, 75.0))
  raw = RNG.normal(0, 2, [1, 2, 3, 2, 7])
  boxes, scores = decode_level(tf.constant(raw), 3, Coordinates(form, {3: scale}, {3: anchors}))
  sigmoid = lambda x: 1 / (1 + np.exp(-x))
  for row, column, anchor in np.ndindex(2, 3, 2):
    t = raw[0, row, column, anchor]
    if form == "scaled":
      x, y = 2 * sigmoid(t[:2]) - 0.5 + [column, row]
      w, h = (2 * sigmoid(t[2:4])) ** 2 * anchors[anchor]
    else:
      x, y = 1.05 * sigmoid(t[:2]) - 0.025 + [column, row]
      w, h = np.exp(t[2:4]) * anchors[anchor]
    place = (row * 3 + column) * 2 + anchor
    np.testing.assert_allclose(boxes[0, place], [8 * x, 8 * y, w, h], rtol=1e-12)
    np.testing.assert_allclose(scores[0, place], sigmoid(t[4]) * sigmoid(t[5:]), rtol=1e-12)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"variant": "v4-tny"}, "did you mean 'v4-tiny'"),
    ({"input_size": 100}, "multiple of 32"),
    ({"coordinates": "polar"}, "exponential, scaled"),
    ({"anchors": [1, 2, 3]}, "2 levels"),
  ],
)
def test_a_wrong_model_is_named(changes, message):
  with pytest.raises(UserError, match=message):
    _small(**changes)
