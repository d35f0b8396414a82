"""A stem on quads of pixels is the same network, and reads the same checkpoints."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.layers.quads import to_quads
from projects.yolo.configs.yolo import Model
from projects.yolo.modeling.factory import build_yolo

SIZE = 64


@pytest.fixture
def in_float64():
  before = tf_keras.mixed_precision.global_policy()
  tf_keras.mixed_precision.set_global_policy("float64")
  yield
  tf_keras.mixed_precision.set_global_policy(before)


def _small(variant, stem_on_quads):
  sizes = {"num_classes": 3, "input_size": SIZE}
  return build_yolo(Model(variant=variant, stem_on_quads=stem_on_quads, **sizes))


# Stems at stride 1 with pooling or a strided convolution behind, and at stride 2.
@pytest.mark.parametrize("variant", ["v3-tiny", "v4-tiny", "v3"])
def test_the_same_network(variant, in_float64, tmp_path):
  plain, quads = _small(variant, False), _small(variant, True)
  tf.train.Checkpoint(model=plain).write(str(tmp_path / "weights"))
  tf.train.Checkpoint(model=quads).read(str(tmp_path / "weights")).assert_consumed()
  assert [each.name for each in quads.variables] == [each.name for each in plain.variables]
  images = tf.constant(np.random.default_rng(0).integers(0, 256, [2, SIZE, SIZE, 3]), tf.uint8)
  want = plain(images, training=True)["raw"]
  for given in (images, to_quads(images)):
    for level, value in quads(given, training=True)["raw"].items():
      np.testing.assert_allclose(value, want[level], rtol=1e-9, atol=1e-9)


def test_another_stem_is_refused():
  with pytest.raises(UserError, match="stem_on_quads: the network begins with 'pixels'"):
    build_yolo(Model(variant="v7-w6", input_size=128, stem_on_quads=True))
