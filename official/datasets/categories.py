"""The classes of the data that a run reads: names, things and stuff, in contiguous order."""

import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from official.cli.errors import UserError
from official.core import config_definitions as cfg
from official.datasets.annotations import Category
from official.datasets.records import load_sidecar


def read_categories(params: cfg.DataConfig, path: str = "") -> list[Category]:
  """The categories of the data that `params` names; a category's class is its index.

  Args:
    params: where the data is.
    path: a COCO annotation file, or a list of its categories, that is to be used (things come
      first, as in the records of COCO-style data); empty for the sidecar that `prepare_data.py`
      wrote beside the records, or what TFDS says.

  Raises:
    UserError: no such file, or no categories in it; or a TFDS data set does not tell things.
  """
  if path:
    return _annotated(path)
  if params.tfds_name:
    return _of_tfds(params)
  return list(load_sidecar(params.input_path.split(",")[0].strip()).categories)


def read_things(params: cfg.DataConfig, path: str = "") -> list[Category]:
  """The thing categories alone, for detection; arguments as of `read_categories`.

  Raises:
    UserError: no such file, or no things in it.
  """
  if params.tfds_name and not path:
    names = _features(params)["objects"].feature["label"].names
    things = [Category(index, name, True) for index, name in enumerate(names)]
  else:
    things = [category for category in read_categories(params, path) if category.isthing]
  if not things:
    raise UserError(f"'{path or params.input_path}' names no thing category")
  return things


def _annotated(path: str) -> list[Category]:
  try:
    with tf.io.gfile.GFile(path) as file:
      content = json.load(file)
    rows = content["categories"] if isinstance(content, dict) else content
    table = [
      Category(int(row["id"]), str(row["name"]), bool(row.get("isthing", 1))) for row in rows
    ]
  except tf.errors.OpError as error:
    raise UserError(f"task.categories: cannot read '{path}'") from error
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(f"task.categories: '{path}' has no COCO categories ({error!r})") from error
  if not table:
    raise UserError(f"task.categories: '{path}' names no category")
  return sorted(table, key=lambda category: (not category.isthing, category.id))


def _of_tfds(params: cfg.DataConfig) -> list[Category]:
  features = _features(params)
  if not {"objects", "panoptic_objects"} <= set(features):
    raise UserError(
      f"tfds_name: {params.tfds_name} does not tell things from stuff; name a COCO annotation file "
      "as task.categories"
    )
  names, things = (features[key].feature["label"].names for key in ("panoptic_objects", "objects"))
  return [Category(index, name, name in things) for index, name in enumerate(names)]


def _features(params: cfg.DataConfig) -> Mapping[str, Any]:
  import tensorflow_datasets as tfds  # Slow to import, and only wanted here.

  return tfds.builder(params.tfds_name, data_dir=params.tfds_data_dir or None).info.features
