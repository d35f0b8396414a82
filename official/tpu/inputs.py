"""The shapes of what a task's input pipeline yields, found without the data."""

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from official.cli.errors import UserError
from official.core import base_task, config_definitions
from official.datasets.annotations import Category
from official.datasets.records import Sidecar, save_sidecar, shard_path


def input_specs(task: base_task.Task, training: bool, replicas: int) -> Any:
  """The specs of one replica's batch, as `task.build_inputs` yields it.

  The pipeline is built on a placeholder for the data and never run, so that the data need not be at
  hand; its shapes are static, or they could not be trained on TPUs.

  Args:
    task: of the experiment.
    training: whether of `train_data`, or of `validation_data`.
    replicas: among which the global batch is divided.

  Raises:
    UserError: the batch does not divide among the replicas, or the pipeline cannot be built.
  """
  params = task.task_config.train_data if training else task.task_config.validation_data
  name = "train_data" if training else "validation_data"
  if params.global_batch_size % replicas:
    raise UserError(
      f"task.{name}.global_batch_size: {params.global_batch_size} does not divide among {replicas} "
      "replicas; give --batch, the images of one replica"
    )
  context = tf.distribute.InputContext(
    num_input_pipelines=1, input_pipeline_id=0, num_replicas_in_sync=replicas
  )
  with placeholder(params, task.task_config) as (data, config):
    return type(task)(config).build_inputs(data, context).element_spec


@contextmanager
def placeholder(
  data: config_definitions.DataConfig, config: config_definitions.TaskConfig
) -> Iterator[tuple[config_definitions.DataConfig, config_definitions.TaskConfig]]:
  """`data` and `config` that read one empty record, with as many categories as the model has."""
  with tempfile.TemporaryDirectory(prefix="tpu_check-") as folder:
    prefix = Path(folder) / "placeholder"
    path = shard_path(prefix, 0, 1)
    # An empty record: its length, and checksums that nobody reads.
    path.write_bytes(struct.pack("<QII", 0, 0, 0))
    save_sidecar(prefix, Sidecar(_categories(config), (1,), 0, ()))
    changed = data.replace(input_path=str(path), tfds_name="", tfds_split="")
    field = "train_data" if data is config.train_data else "validation_data"
    plain = {"categories": ""} if hasattr(config, "categories") else {}
    yield changed, config.replace(**{field: changed}, **plain)


def _categories(config: config_definitions.TaskConfig) -> tuple[Category, ...]:
  count = getattr(getattr(config, "model", None), "num_classes", 1)
  return tuple(Category(index + 1, f"category {index}", True) for index in range(count))
