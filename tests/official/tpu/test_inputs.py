import pytest
import tensorflow as tf

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.core import exp_factory, task_factory
from official.tpu.inputs import input_specs


def specs(name, training, replicas, **data):
  params = exp_factory.get_exp_config(name)
  used = params.task.train_data if training else params.task.validation_data
  used.override(data)
  return input_specs(task_factory.get_task(params.task), training, replicas)


@pytest.mark.parametrize("name", ["yolo_v3_tiny_coco", "maskformer_tiny_shapes"])
@pytest.mark.parametrize("training", [True, False])
def test_shapes_are_static_and_found_without_the_data(name, training):
  flat = tf.nest.flatten(specs(name, training, 4, global_batch_size=8))
  assert all(spec.shape.is_fully_defined() and spec.shape[0] == 2 for spec in flat)
  assert not any(spec.dtype == tf.string for spec in flat)


def test_the_batch_is_divided_among_the_replicas():
  images, labels = specs("yolo_v3_tiny_coco", True, 8)
  assert images.shape == [8, 416, 416, 3]
  assert labels["boxes"].shape == [8, 100, 4]


def test_data_of_tfds_need_not_be_at_hand():
  images, _ = specs(
    "yolo_v3_tiny_coco", True, 1, input_path="", tfds_name="coco/2017", tfds_split="train"
  )
  assert images.shape[0] == 64


def test_a_batch_that_does_not_divide_is_refused():
  with pytest.raises(UserError, match=r"global_batch_size: 64 does not divide among 3"):
    specs("yolo_v3_tiny_coco", True, 3)
