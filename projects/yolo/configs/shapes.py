"""The experiments on the built-in shapes, from scratch on two cores."""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.training.trainer_config import trainer_config
from projects.yolo.configs.data import Augmentation, DataConfig
from projects.yolo.configs.schedules import sgd
from projects.yolo.configs.yolo import Detection, Losses, Model, YoloTask

_BATCH = 16
_ANCHORS = [10.0, 10.0, 16.0, 16.0, 24.0, 24.0, 32.0, 32.0, 42.0, 42.0, 56.0, 56.0]
_NINE_ANCHORS = [8.0, 8.0, 12.0, 12.0, 16.0, 16.0, *_ANCHORS[4:], 64.0, 64.0]
# Shapes differ in outline alone and anchors are dense: against the COCO gains, box and class terms
# weigh more, and fewer anchors answer for an object.
_LOSSES = Losses(box=1.0, classes=2.0, ratio_threshold=2.0)


@exp_factory.register_config_factory("yolo_v4_tiny_shapes")
def yolo_v4_tiny_shapes() -> cfg.ExperimentConfig:
  """YOLOv4-tiny, in minutes."""
  return _shapes(Model(variant="v4-tiny", anchors=_ANCHORS), _LOSSES, 2500)


@exp_factory.register_config_factory("yolo_v4_csp_narrow_shapes")
def yolo_v4_csp_narrow_shapes() -> cfg.ExperimentConfig:
  """YOLOv4-CSP with a quarter of its channels."""
  return _shapes(Model(variant="v4-csp-narrow", anchors=_NINE_ANCHORS), _LOSSES, 5000)


@exp_factory.register_config_factory("yolo_v7_tiny_shapes")
def yolo_v7_tiny_shapes() -> cfg.ExperimentConfig:
  """YOLOv7-tiny, with its dynamic assignment."""
  model = Model(variant="v7-tiny", anchors=_NINE_ANCHORS, norm_epsilon=1e-3)
  return _shapes(model, Losses(kind="v7_ota"), 5000)


def _shapes(model: Model, losses: Losses, steps: int) -> cfg.ExperimentConfig:
  own = {"num_classes": 6, "input_size": 128, "coordinates": "scaled"}
  model = dataclasses.replace(model, detection=Detection(iou_threshold=0.45), **own)
  task = YoloTask(
    model=model,
    train_data=DataConfig(
      input_path="data/shapes/train-*.tfrecord",
      is_training=True,
      global_batch_size=_BATCH,
      max_boxes=20,
      shuffle_buffer_size=1000,
      # The data set is endless variety already.
      augmentation=Augmentation(
        mosaic=0.0, scale=0.0, translate=0.0, hue=0.0, saturation=0.0, value=0.0
      ),
    ),
    validation_data=DataConfig(
      input_path="data/shapes/val-*.tfrecord",
      is_training=False,
      global_batch_size=_BATCH,
      drop_remainder=False,
      max_boxes=20,
    ),
    losses=losses,
    allow_image_summary=True,
  )
  optimizer = sgd(0.02, steps, warmup_steps=100, last_share=0.05, average_decay=0.998)
  return cfg.ExperimentConfig(
    task=task,
    trainer=trainer_config(steps, 50, 500, optimizer, best="AP"),
    runtime=cfg.RuntimeConfig(distribution_strategy="one_device"),
  )
