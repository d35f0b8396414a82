"""The classes of a detection data set: names, and the ids under which its records know them."""

import json

import tensorflow as tf

from official.cli.errors import UserError
from official.core import config_definitions as cfg
from official.datasets.coco import Category
from official.datasets.records import load_sidecar


def read_categories(params: cfg.DataConfig, path: str = "") -> list[Category]:
  """The thing categories of the data that `params` names, in contiguous order.

  Args:
    params: where the data is.
    path: a COCO annotation file whose `categories` are to be used; empty for the sidecar that
      `prepare_data.py` wrote beside the records, or what TFDS says.

  Raises:
    UserError: no such file, or no categories in it.
  """
  if path:
    things = _annotated_things(path)
  elif params.tfds_name:
    things = _tfds_things(params)
  else:
    things = list(load_sidecar(params.input_path.split(",")[0].strip()).things)
  if not things:
    raise UserError(f"'{path or params.input_path}' names no thing category")
  return things


def _annotated_things(path: str) -> list[Category]:
  try:
    with tf.io.gfile.GFile(path) as file:
      rows = json.load(file)["categories"]
    return [
      Category(int(row["id"]), str(row["name"]), True) for row in rows if row.get("isthing", 1)
    ]
  except tf.errors.OpError as error:
    raise UserError(f"task.categories: cannot read '{path}'") from error
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(f"task.categories: '{path}' has no COCO categories ({error!r})") from error


def _tfds_things(params: cfg.DataConfig) -> list[Category]:
  import tensorflow_datasets as tfds  # Slow to import, and only wanted here.

  info = tfds.builder(params.tfds_name, data_dir=params.tfds_data_dir or None).info
  names = info.features["objects"].feature["label"].names
  return [Category(index, name, True) for index, name in enumerate(names)]
