"""Five images, and a network that finds something in them."""

import json

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.configs.data import DataConfig
from projects.yolo.configs.yolo import Model, YoloTask
from projects.yolo.tasks import yolo
from tests.projects.yolo.dataloaders import records

# Wider, higher, larger and smaller than the input of 64 x 64.
SHAPES = ((40, 100), (100, 40), (90, 80), (31, 20), (64, 64))


@pytest.fixture(scope="package")
def data(tmp_path_factory):
  """Five images as a record file and as files."""
  folder = tmp_path_factory.mktemp("data")
  rng = np.random.default_rng(0)
  examples = []
  for number, shape in enumerate(SHAPES, 1):
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    examples.append(records.example(number, image, boxes=[(0, 0, 0.5, 0.5)], labels=[1]))
    (folder / f"{number}.jpg").write_bytes(tf.io.encode_jpeg(image).numpy())
  records.write(folder / "val-00000-of-00001.tfrecord", examples)
  categories = [{"id": 5 - i, "name": f"c{i}", "isthing": True} for i in range(5)]
  sidecar = {"categories": categories, "examples": [len(SHAPES)], "boxes": 5, "skipped": []}
  (folder / "val.json").write_text(json.dumps(sidecar))
  return folder


def task_config(data, letterbox=True):
  config = YoloTask(model=Model(variant="v3-tiny", num_classes=5, input_size=64))
  config.model.detection.score_threshold = 0.0
  config.validation_data = DataConfig(
    input_path=str(data / "val-*.tfrecord"),
    is_training=False,
    global_batch_size=len(SHAPES),
    drop_remainder=False,
    letterbox=letterbox,
  )
  return config


@pytest.fixture(scope="package")
def trained(data, tmp_path_factory):
  """A network with random weights and statistics, and its checkpoint."""
  model = yolo.YoloTask(task_config(data)).build_model()
  rng = np.random.default_rng(1)
  for variable in model.variables:
    spread = rng.uniform(0.5, 1.5, variable.shape)
    variable.assign(variable * spread + 0.01 * rng.normal(size=variable.shape))
  prefix = str(tmp_path_factory.mktemp("run") / "ckpt-1")
  return model, tf.train.Checkpoint(model=model).write(prefix)
