"""The figures of a model that can be counted by hand."""

import tf_keras

from official.inspection.summary import summarize


def test_figures():
  image = tf_keras.Input([8, 6, 3])
  features = tf_keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(image)
  normed = tf_keras.layers.BatchNormalization()(features)
  pooled = tf_keras.layers.GlobalAveragePooling2D()(normed)
  model = tf_keras.Model(image, {"levels": [features, normed], "pooled": pooled})

  summary = summarize(model, (8, 6, 3))

  assert summary.trainable == 3 * 3 * 3 * 4 + 2 * 4
  assert summary.parameters == summary.trainable + 2 * 4
  assert summary.flops == 2 * 4 * 3 * 4 * 27
  assert summary.outputs == {
    "levels/0": [1, 4, 3, 4],
    "levels/1": [1, 4, 3, 4],
    "pooled": [1, 4],
  }


def test_a_single_output_has_a_name():
  model = tf_keras.Sequential([tf_keras.Input([3]), tf_keras.layers.Dense(2)])
  assert summarize(model, (3,)).outputs == {"output": [1, 2]}
