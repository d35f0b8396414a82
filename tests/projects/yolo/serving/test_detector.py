"""The detector answers as the task's evaluation does."""

import numpy as np
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from official.serving import image_files
from projects.yolo.serving.detector import YoloDetector
from projects.yolo.tasks import yolo
from tests.projects.yolo.serving.conftest import SHAPES, task_config


@pytest.mark.parametrize("letterbox", [True, False])
def test_the_same_as_a_validation_step(data, trained, letterbox):
  model, prefix = trained
  config = task_config(data, letterbox)
  task = yolo.YoloTask(config)
  batch = next(iter(task.build_inputs(config.validation_data)))
  expected = task.validation_step(batch, model)["detections"]
  order = batch[1]["groundtruths"]["source_id"].numpy()

  images = [image_files.read(data / f"{number}.jpg") for number in order]
  # Batches of 2, 2 and 1: the last one is filled up.
  found = YoloDetector(config, prefix, batch_size=2).detect(images)

  assert len(found) == len(SHAPES)
  for row, detections in enumerate(found):
    count = int(expected["count"][row])
    assert count == 100
    for key in ("boxes", "scores", "classes"):
      np.testing.assert_allclose(detections[key], expected[key][row, :count], 1e-5, 1e-5)
    height, width = images[row].shape[:2]
    assert detections["boxes"][:, 2].max() <= height
    assert detections["boxes"][:, 3].max() <= width


def test_an_image_does_not_depend_on_its_company(data, trained):
  detector = YoloDetector(task_config(data), trained[1], batch_size=2)
  images = [image_files.read(data / f"{number}.jpg") for number in (1, 2, 3)]
  together = detector.detect(images)
  for image, expected in zip(images, together, strict=True):
    (alone,) = detector.detect([image])
    for key, value in alone.items():
      np.testing.assert_allclose(value, expected[key], 1e-5, 1e-5)


def test_only_what_was_detected_is_returned(data, trained):
  config = task_config(data)
  config.model.detection.score_threshold = 0.999
  (none,) = YoloDetector(config, trained[1], batch_size=1).detect([np.zeros((9, 9, 3), np.uint8)])
  assert none["boxes"].shape == (0, 4)
  assert none["classes"].shape == none["scores"].shape == (0,)
  assert none.keys() == {"boxes", "classes", "scores"}


def test_no_images(data, trained):
  assert YoloDetector(task_config(data), trained[1], batch_size=1).detect([]) == []


def test_a_checkpoint_of_another_network(data, trained):
  config = task_config(data)
  config.model.num_classes = 7
  with pytest.raises(UserError, match="cannot be loaded"):
    YoloDetector(config, trained[1], batch_size=1)


def test_yolov7_is_deployed_and_finds_the_same(data, tmp_path):
  config = task_config(data)
  config.model.override({"variant": "v7-tiny", "norm_epsilon": 1e-3})
  config.model.detection.score_threshold = 0.001
  tf.keras.utils.set_random_seed(0)
  model = yolo.YoloTask(config).build_model()
  checkpoint = tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt-1"))
  detector = YoloDetector(config, checkpoint, 1)
  assert len(detector._model.weights) < len(model.weights)
  image = np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8)
  found = detector.detect([image])[0]
  wanted = model(tf.constant(image)[None], training=False)["detections"]
  count = int(wanted["count"][0])
  assert count > 10
  np.testing.assert_allclose(found["scores"], wanted["scores"][0, :count], rtol=1e-4)
  np.testing.assert_array_equal(found["classes"], wanted["classes"][0, :count])
