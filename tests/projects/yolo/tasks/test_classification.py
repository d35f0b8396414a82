"""Classifiers of the detectors' backbones: what they are, what they see, and that they learn."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.core import exp_factory, task_factory
from projects.yolo.configs.yolo import Model
from projects.yolo.dossier import DOSSIER
from projects.yolo.modeling import roles
from projects.yolo.modeling.factory import build_yolo

EXPERIMENTS = {"yolo_darknet53_imagenet": "v3", "yolo_cspdarknet53_imagenet": "v4"}
SIDE, CLASSES = 32, 3


@pytest.fixture(scope="module")
def record(tmp_path_factory):
  """Images of one level each, and its class."""
  path = tmp_path_factory.mktemp("classes") / "train-00000-of-00001"
  with tf.io.TFRecordWriter(str(path)) as writer:
    for index in range(6):
      image = np.full((40, 40, 3), 100 * (index % CLASSES) + 20, np.uint8)
      feature = {
        "image/encoded": tf.train.Feature(
          bytes_list=tf.train.BytesList(value=[tf.io.encode_jpeg(image, quality=100).numpy()])
        ),
        "image/class/label": tf.train.Feature(
          int64_list=tf.train.Int64List(value=[index % CLASSES])
        ),
      }
      example = tf.train.Example(features=tf.train.Features(feature=feature))
      writer.write(example.SerializeToString())
  return str(path)


def task(experiment, path="", classes=CLASSES):
  params = exp_factory.get_exp_config(experiment).task
  params.model.override({"num_classes": classes, "input_size": [SIDE, SIDE, 3]})
  for data in (params.train_data, params.validation_data):
    data.override({"input_path": path, "global_batch_size": 6, "shuffle_buffer_size": 1})
  return task_factory.get_task(params)


# Of the 1000 classes of ImageNet, as `timm` counts its darknet53 and cspdarknet53.
@pytest.mark.parametrize(
  ("experiment", "millions"),
  [("yolo_darknet53_imagenet", 41.61), ("yolo_cspdarknet53_imagenet", 27.64)],
)
def test_parameters_are_as_many_as_elsewhere(experiment, millions):
  model = task(experiment, classes=1000).build_model()
  count = sum(np.prod(variable.shape) for variable in model.trainable_variables)
  assert round(count / 1e6, 2) == millions


def test_a_detector_has_the_same_backbone():
  classifier = task("yolo_darknet53_imagenet").build_model()
  detector = build_yolo(Model(variant="v3", num_classes=2, input_size=SIDE))
  shapes = lambda model: [(v.name, v.shape) for v in model.backbone.variables]
  assert shapes(classifier) == shapes(detector)
  detector.backbone.set_weights(classifier.backbone.get_weights())
  images = np.random.default_rng(0).random([2, SIDE, SIDE, 3], np.float32)
  wanted = detector.backbone(images, training=False)
  for name, feature in classifier.backbone(images, training=False).items():
    np.testing.assert_array_equal(feature, wanted[name])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_images_are_as_detectors_see_them(record, experiment):
  own = task(experiment, record)
  images, labels = next(iter(own.build_inputs(own.task_config.validation_data)))
  assert images.shape == (6, SIDE, SIDE, 3)
  for image, label in zip(images, np.ravel(labels), strict=True):
    np.testing.assert_allclose(image, (100 * label + 20) / 255, atol=0.01)


def test_kernels_decay_and_nothing_else():
  own = task("yolo_darknet53_imagenet")
  model = own.build_model()
  kernels = [*roles.convolution_kernels(model.backbone), model.get_layer("logits").kernel]
  expected = 5e-4 / 2 * sum(float(tf.reduce_sum(kernel**2)) for kernel in kernels)
  np.testing.assert_allclose(float(tf.add_n(model.losses)), expected, rtol=1e-5)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_it_learns(record, experiment):
  tf_keras.utils.set_random_seed(0)
  own = task(experiment, record)
  own.task_config.model.override({"variant": "v3-tiny"})  # It is traced in seconds.
  model, optimizer = own.build_model(), tf_keras.optimizers.legacy.Adam(1e-3)
  metrics = own.build_metrics()
  step = tf.function(lambda inputs: own.train_step(inputs, model, optimizer, metrics)["loss"])
  batches = own.build_inputs(own.task_config.train_data)
  losses = [float(step(batch)) for batch in batches.take(12)]
  assert np.isfinite(losses).all()
  assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_what_a_classifier_is_not_for():
  config = exp_factory.get_exp_config("yolo_darknet53_imagenet").task
  for use in (lambda: DOSSIER.detector(config, "x", 1), lambda: DOSSIER.categories(config)):
    with pytest.raises(UserError, match="trains a classifier: it is trained and evaluated"):
      use()
