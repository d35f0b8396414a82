"""Networks of the table of variants: size, outputs, dtypes, configuration, first weights."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from projects.maskformer.configs.model import Model
from projects.maskformer.modeling import factory, variants
from projects.maskformer.modeling.backbones.resnet import DeepStem
from projects.maskformer.modeling.backbones.swin_block import WindowAttention
from projects.maskformer.modeling.factory import build_maskformer

RNG = np.random.default_rng(2)
SIZE = 64
SMALL = {
  "mask": variants.Variant(
    variants.ResNetSizes((1, 1, 1, 1), 8, (8, 12, 16, 20)),
    encoder_layers=1,
    decoder_layers=3,
    queries=5,
    width=32,
    heads=4,
    hidden=24,
  ),
}
SMALL["per_pixel"] = variants.Variant(SMALL["mask"].backbone, "per_pixel", width=32)
SMALL["per_pixel_plus"] = variants.Variant(
  SMALL["mask"].backbone, "per_pixel_plus", decoder_layers=3, width=32, heads=4, hidden=24
)
SMALL["swin"] = variants.Variant(
  variants.SwinSizes(8, (1, 2, 1, 1), (2, 2, 2, 2), 4),
  decoder_layers=2,
  queries=5,
  width=32,
  heads=4,
  hidden=24,
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
  monkeypatch.setattr(variants, "VARIANTS", variants.VARIANTS | SMALL)


@pytest.fixture
def under_policy():
  """Calls a function under a Keras dtype policy."""
  before = tf_keras.mixed_precision.global_policy()

  def call(policy, function):
    tf_keras.mixed_precision.set_global_policy(policy)
    return function()

  yield call
  tf_keras.mixed_precision.set_global_policy(before)


def _build(name, **changes):
  return build_maskformer(Model(variant=name, num_classes=4, **changes))


def _images(batch=2, dtype="float32"):
  return tf.constant(RNG.normal(size=[batch, SIZE, SIZE, 3]), dtype)


@pytest.mark.parametrize(
  ("name", "classes", "trainable"),
  # The original's own counts of its ADE20K R50, COCO R50 and COCO Swin-T.
  [("r50", 150, 41_254_743), ("r50_encoder", 133, 45_012_038), ("swin_tiny", 133, 41_752_640)],
)
def test_published_networks_have_the_originals_size(name, classes, trainable):
  with tf.Graph().as_default():  # Nothing is drawn.
    model = build_maskformer(Model(variant=name, num_classes=classes))
  assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == trainable


def test_every_variant_is_of_a_kind_and_a_name_beside_one_is_corrected():
  assert {variant.kind for variant in variants.VARIANTS.values()} == set(SMALL) - {"swin"}
  with pytest.raises(UserError, match="did you mean 'r101'"):
    _build("r101d")


@pytest.mark.parametrize("name", ["mask", "swin"])
def test_masks_and_classes_of_every_layer(name):
  model = _build(name)
  depth = SMALL[name].decoder_layers
  outputs = model(_images(), training=True)
  assert len(outputs["auxiliary"]) == depth - 1
  for each in (outputs, *outputs["auxiliary"]):
    assert each["class_logits"].shape == (2, 5, 4 + 1)
    assert each["mask_logits"].shape == (2, 5, SIZE // 4, SIZE // 4)
  assert set(model(_images())) == {"class_logits", "mask_logits"}
  assert "auxiliary" in model(_images(), auxiliary=True)
  unsupervised = _build(name, deep_supervision=False)(_images(), training=True)
  assert set(unsupervised) == {"class_logits", "mask_logits"}


def test_baselines_classify_pixels():
  shape = (2, SIZE // 4, SIZE // 4, 4)
  assert _build("per_pixel")(_images(), training=True)["semantic_logits"].shape == shape
  outputs = _build("per_pixel_plus")(_images(), training=True)
  assert outputs["semantic_logits"].shape == shape
  assert [each["semantic_logits"].shape for each in outputs["auxiliary"]] == [shape] * 2


def test_a_class_of_the_better_baseline_is_its_querys_mask():
  model, images = _build("per_pixel_plus"), _images()
  features = model.backbone(images)
  queries, pixels = model.decoder(features[-1])[-1], model.pixel_decoder(features)
  embeddings = model.heads.mask_embedding(queries)
  want = np.einsum("bhwc,bqc->bhwq", pixels, embeddings)
  np.testing.assert_allclose(model(images)["semantic_logits"], want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(SMALL))
def test_configuration_and_checkpoint_bring_a_network_back(name, tmp_path):
  model, images = _build(name), _images()
  twin = tf_keras.utils.deserialize_keras_object(tf_keras.utils.serialize_keras_object(model))
  assert type(twin) is type(model)
  twin(images)
  tf.train.Checkpoint(model=model).write(str(tmp_path / "weights"))
  tf.train.Checkpoint(model=twin).read(str(tmp_path / "weights")).assert_consumed()
  tf.nest.map_structure(np.testing.assert_array_equal, twin(images), model(images))
  saved = tf.train.load_checkpoint(str(tmp_path / "weights"))
  assert len(saved.get_variable_to_shape_map()) > len(model.weights)


@pytest.mark.parametrize("name", list(SMALL))
def test_every_weight_has_a_gradient(name):
  model = _build(name, frozen_norm=False)
  with tf.GradientTape() as tape:
    outputs = tf.nest.flatten(model(_images(), training=True))
    loss = tf.add_n([tf.reduce_sum(x**2) for x in outputs])
  gradients = tape.gradient(loss, model.trainable_weights)
  for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
    assert gradient is not None, weight.name
    assert np.isfinite(gradient).all(), weight.name


@pytest.mark.parametrize("name", list(SMALL))
def test_float64_and_bfloat16(name, under_policy):
  images = RNG.normal(size=[1, SIZE, SIZE, 3])
  exact = under_policy("float64", lambda: _build(name))
  golden = tf.nest.flatten(exact(tf.constant(images)))
  for policy, tolerance in (("float32", 1e-4), ("mixed_bfloat16", 0.2)):
    model = under_policy(policy, lambda: _build(name))
    model.set_weights(exact.get_weights())
    assert {weight.dtype for weight in model.weights} == {tf.float32}
    outputs = tf.nest.flatten(model(tf.constant(images, model.compute_dtype)))
    for got, want in zip(outputs, golden, strict=True):
      assert (want.dtype, got.dtype) == (tf.float64, tf.float32)
      assert np.abs(got - want.numpy()).max() < tolerance * np.abs(want).max()


def test_weights_are_drawn_as_the_original_draws_them():
  variant = variants.Variant(variants.ResNetSizes((1, 1, 1, 1)), encoder_layers=1, decoder_layers=1)
  config = Model(num_classes=150)
  model = factory._mask(variant, config)
  model(tf.zeros([1, 64, 64, 3]))
  attention, mlp = model.decoder.layers[0].cross_attention, model.encoder.layers[0].mlp
  bottleneck = model.backbone.stages[3].blocks[0]
  uniform = (  # Within these limits.
    (attention.query.kernel, math.sqrt(6 / (256 + 3 * 256))),
    (attention.output_projection.kernel, math.sqrt(6 / (256 + 256))),
    (mlp.expand.kernel, math.sqrt(6 / (256 + 2048))),
    (mlp.expand.bias, 256**-0.5),
    (mlp.reduce.bias, 2048**-0.5),
    (model.heads.classes.kernel, 256**-0.5),
    (model.heads.classes.bias, 256**-0.5),
    (model.heads.mask_embedding.projections[2].bias, 256**-0.5),
    (model.pixel_decoder.stem.conv.kernel, math.sqrt(3 / (9 * 256))),
    (model.pixel_decoder.steps[2].lateral.conv.kernel, math.sqrt(3 / 256)),
    (model.pixel_decoder.embedding.kernel, math.sqrt(3 / (9 * 256))),
    (model.encoder.projection.kernel, math.sqrt(3 / 2048)),
  )
  for weight, limit in uniform:
    _like(weight, limit / math.sqrt(3), limit)
  _like(bottleneck.conv.conv.kernel, math.sqrt(2 / (9 * 512)))
  _like(model.backbone.stem.conv.conv.kernel, math.sqrt(2 / (49 * 64)))
  _like(model.decoder.query_positions, 1.0)
  for bias in (
    attention.query.bias,
    attention.output_projection.bias,
    model.encoder.projection.bias,
  ):
    np.testing.assert_array_equal(bias, 0)
  assert not np.array_equal(attention.query.kernel, attention.key.kernel)


def test_a_deep_stem_begins_without_seeing_levels():
  stem = DeepStem(128)
  levels = tf.reshape([0.2, -1.0, 0.7], [1, 1, 1, 3]) * tf.ones([1, 32, 32, 3])
  stem(levels)
  seen = stem.convs[0].conv(levels)[:, 1:-1, 1:-1]  # Beyond the border there are zeros.
  np.testing.assert_allclose(seen, 0, atol=1e-6)
  for conv in stem.convs:
    _like(conv.conv.kernel, math.sqrt(2 / (9 * conv.conv.filters)) * math.sqrt(8 / 9))


def test_swins_weights_are_drawn_as_its_authors_draw_them():
  attention = WindowAttention(192, 6, 7)
  attention(tf.zeros([1, 49, 192]))
  _like(attention.query.kernel, 0.02)
  _like(attention.relative_bias, 0.02)
  np.testing.assert_array_equal(attention.value.bias, 0)


def _like(weight, deviation, limit=None):
  """Mean 0 and this deviation; all within the limit, and the greatest near it."""
  values = weight.numpy().ravel()
  error = 4 / math.sqrt(values.size)  # Of a mean in deviations, and more than of a deviation.
  assert abs(values.mean()) < error * deviation, weight.name
  assert abs(values.std() / deviation - 1) < error, weight.name
  if limit:
    assert limit * (1 - 10 / values.size) < np.abs(values).max() <= limit * 1.000001, weight.name
  else:
    assert np.abs(values).max() > 2.2 * deviation, weight.name
