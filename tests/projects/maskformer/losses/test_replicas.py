"""The normalizer on several replicas: the original's, once per process of its data parallelism."""

import importlib.util
import pathlib

import numpy as np
import tensorflow as tf

from projects.maskformer.losses.criterion import maskformer_loss
from projects.maskformer.losses.matcher import LossWeights
from tests.official.training import runs

_spec = importlib.util.spec_from_file_location(
  "scenes", pathlib.Path(__file__).with_name("scenes.py")
)
scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenes)

COUNTS = (5, 1)  # Valid targets of the two replicas' images: 3 on average.


def _image(tree, index):
  return tf.nest.map_structure(lambda x: tf.convert_to_tensor(x[index : index + 1]), tree)


def _loss(outputs, targets):
  with tf.GradientTape() as tape:
    tape.watch(outputs)
    losses = maskformer_loss(outputs, targets, LossWeights())
  return losses, tape.gradient(losses["total_loss"], outputs)


def _on_two_replicas():
  """Each replica's terms are those of its image alone, but for the number they are divided by."""
  outputs, targets = scenes.scene(0, counts=COUNTS, auxiliary=1)
  strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
  images = strategy.experimental_distribute_values_from_function(
    lambda context: _image((outputs, targets), context.replica_id_in_sync_group)
  )
  results = tf.function(lambda x: strategy.run(_loss, args=x))(images)
  for index, count in enumerate(COUNTS):
    part = tf.nest.map_structure(lambda x: x.values[index], results)  # noqa: B023
    _same_but_for_the_normalizer(part, _loss(*_image((outputs, targets), index)), count)


def _same_but_for_the_normalizer(replica, alone, count):
  (losses, gradients), (expected, slopes) = replica, alone
  share = count / np.mean(COUNTS)
  for name, value in expected.items():
    if name != "total_loss":
      factor = 1 if name.startswith("class") else share
      np.testing.assert_allclose(losses[name], value * factor, rtol=1e-12)
  np.testing.assert_allclose(
    gradients["mask_logits"], slopes["mask_logits"] * share, rtol=1e-9, atol=1e-15
  )
  np.testing.assert_allclose(gradients["class_logits"], slopes["class_logits"], rtol=1e-12)


def test_the_normalizer_is_the_mean_over_replicas(tmp_path):
  runs.call(_on_two_replicas, tmp_path / "log", devices=2)
