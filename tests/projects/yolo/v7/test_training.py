"""Ten steps of YOLOv7's experiments against the original's own, float64.

`training.npz` is what `record_training.py` wrote.
"""

import numpy as np
import pytest
import tensorflow as tf

from official.checkpoints import inverse, transfer
from official.parity.recorders.keras_names import buffer_names, parameter_names
from projects.yolo.modeling.variants import get_variant
from projects.yolo.reference import yolov7_names
from projects.yolo.reference.candidate import Candidate
from tests.projects.yolo.losses import v7_scenes
from tests.projects.yolo.v7 import recipe

TERMS = ("box_loss", "objectness_loss", "class_loss")
# The cosine does not move in the original's first epoch; of averages nothing is recorded.
SCHEDULE = {"warmup_steps": recipe.WARMUP, "decay_steps": 10**9, "average_decay": 0.9998}
SCHEDULE |= {"rate_share": recipe.RATE_SHARE}


def _batch(name):
  boxes, classes, valid = v7_scenes.scene(recipe.SCENE)
  images = recipe.images(recipe.SIZES[name]).transpose(0, 2, 3, 1)
  arrays = {"images": images, "boxes": boxes, "classes": classes, "valid": valid}
  return {key: tf.constant(value) for key, value in arrays.items()}


def _train(name):
  """Ten steps: terms [10, 3], and the original's names of what it left."""
  experiment = f"yolo_{name.replace('-', '_')}_coco"
  side = Candidate(experiment, SCHEDULE, recipe.SIZES[name], "float64").side()
  variables = parameter_names(side.network) | buffer_names(side.network)
  shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
  rules = yolov7_names.weights(get_variant(name))
  sources = inverse.parameters(rules, shapes)
  plan = transfer.plan(rules, sources, shapes)
  drawn = {source: recipe.weight(source, shape) for source, shape in sources.items()}
  for path, value in plan.forward(drawn).items():
    variables[path].assign(value)
  trainer, terms = side.trainer(), []
  for _ in range(recipe.STEPS):
    logs = trainer.step(_batch(name))
    terms.append([float(logs[term]) for term in TERMS])
  after = plan.backward({path: variable.numpy() for path, variable in variables.items()})
  return np.array(terms), after


@pytest.fixture(scope="module")
def recorded():
  with np.load(recipe.RECORDING.with_name("training.npz")) as file:
    return dict(file)


@pytest.mark.parametrize("name", recipe.SIZES)
def test_ten_steps(recorded, name):
  terms, after = _train(name)
  wanted = {
    key.removeprefix(f"{name}/"): value
    for key, value in recorded.items()
    if key.startswith(f"{name}/")
  }
  tolerance = 10 * wanted["floor"]
  assert recipe.difference(terms, wanted["terms"]) <= tolerance
  names = {key.removeprefix("change/") for key in wanted if key.startswith("change/")}
  assert names == set(after)
  far = {
    key: recipe.difference(recipe.change(key, value), wanted[f"change/{key}"])
    for key, value in after.items()
  }
  assert max(far.values()) <= tolerance, max(far, key=far.get)
