"""What a run keeps beside its checkpoints: its settings, and the categories of its data."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from official.cli.errors import UserError
from official.core import config_definitions
from official.datasets.annotations import Category
from official.modeling import hyperparams
from official.training import yaml_files

PARAMS_FILE = "params.yaml"
CATEGORIES_FILE = "categories.json"


def save(params: config_definitions.ExperimentConfig, model_dir: str) -> None:
  """Writes `params.yaml` in one piece; says in one line what differs from the one there."""
  tf.io.gfile.makedirs(model_dir)
  path = os.path.join(model_dir, PARAMS_FILE)
  temporary = f"{path}.tmp"
  hyperparams.save_params_dict_to_yaml(params, temporary)
  changes = _changes(path, temporary) if tf.io.gfile.exists(path) else []
  if changes:
    print(f"settings differ from the ones in {path}: {', '.join(changes)}", file=sys.stderr)
  tf.io.gfile.rename(temporary, path, overwrite=True)


def save_categories(categories: Sequence[Category], model_dir: str) -> None:
  """Writes `categories.json`, so that the classes keep their names where the data is not."""
  path = os.path.join(model_dir, CATEGORIES_FILE)
  with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
    file.write(json.dumps([dataclasses.asdict(row) for row in categories], indent=1) + "\n")
  tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)


def _changes(old_path: str, new_path: str) -> list[str]:
  try:
    old = dict(_leaves(yaml_files.parse(tf.io.gfile.GFile(old_path).read(), old_path)))
  except UserError as error:
    return [str(error)]
  new = dict(_leaves(yaml_files.parse(tf.io.gfile.GFile(new_path).read(), new_path)))
  keys = sorted({*old, *new})
  return [f"{k} {old.get(k)} → {new.get(k)}" for k in keys if old.get(k) != new.get(k)]


def _leaves(values: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
  for key, value in values.items():
    if isinstance(value, Mapping):
      yield from _leaves(value, f"{at}{key}.")
    else:
      yield f"{at}{key}", value
