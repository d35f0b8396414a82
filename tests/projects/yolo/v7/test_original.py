"""YOLOv7 against the original's own figures, float64: every layer, every gradient, deployment.

`original.npz` is what `record.py` wrote.
"""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from official.checkpoints import inverse, transfer
from official.parity.recorders.keras_names import buffer_names, parameter_names
from projects.yolo.modeling.decoding import Coordinates
from projects.yolo.modeling.deploy import deployed
from projects.yolo.modeling.variants import get_variant
from projects.yolo.modeling.yolo import Yolo
from projects.yolo.reference import yolov7_names
from tests.projects.yolo.v7 import recipe

PARAMETERS = {"v7-tiny": 6_228_762, "v7": 37_622_682, "v7-w6": 82_312_436}  # The original's own.
EPSILON, MOMENTUM = 1e-3, 0.97


class Case:
  """Our network with the weights of the recipe."""

  def __init__(self, name):
    self.name, self.variant, self.size = name, get_variant(name), recipe.SIZES[name]
    coordinates = Coordinates("scaled", self.variant.scale_xy, self.variant.anchors)
    self.model = Yolo(name, 80, self.size, coordinates, momentum=MOMENTUM, epsilon=EPSILON)
    self.variables = parameter_names(self.model) | buffer_names(self.model)
    shapes = {path: tuple(variable.shape) for path, variable in self.variables.items()}
    rules = yolov7_names.weights(self.variant)
    sources = inverse.parameters(rules, shapes)
    self.plan = transfer.plan(rules, sources, shapes)
    self.arrays = {source: recipe.weight(source, shape) for source, shape in sources.items()}
    self.fill()

  def fill(self):
    for path, value in self.plan.forward(self.arrays).items():
      self.variables[path].assign(value)

  def images(self):
    return tf.constant(recipe.images(self.size).transpose(0, 2, 3, 1))

  def recorded(self, kind):
    prefix = f"{self.name}/{kind}/"
    with np.load(recipe.RECORDING) as stored:
      return {key.removeprefix(prefix): stored[key] for key in stored if key.startswith(prefix)}


@pytest.fixture(scope="module", params=list(recipe.SIZES))
def case(request):
  before = tf_keras.mixed_precision.global_policy()
  tf_keras.mixed_precision.set_global_policy("float64")
  yield Case(request.param)
  tf_keras.mixed_precision.set_global_policy(before)


def _assert_same(found, wanted, tolerance):
  assert set(found) == set(wanted)
  for name, value in wanted.items():
    assert recipe.difference(recipe.sample(found[name]), value) <= tolerance, name


def test_parameters(case):
  names = parameter_names(case.model).values()
  assert sum(int(np.prod(variable.shape)) for variable in names) == PARAMETERS[case.name]


def test_every_layer_and_output_at_inference(case):
  case.fill()
  tensors = {"image": case.images()}
  for part in (case.model.backbone, case.model.decoder, case.model.head):
    layers = [each for each in part.layers if not isinstance(each, tf_keras.layers.InputLayer)]
    every = {f"{part.name}/{each.name}": each.output for each in layers}
    found = tf_keras.Model(part.inputs, every | part.output)(
      {k: tensors[k] for k in part.input_names}
    )
    tensors |= found
  convolutions = dict(yolov7_names.convolutions(case.variant))
  found = {name: _channels_first(tensors[path]) for name, path in convolutions.items()}
  _assert_same(found, case.recorded("output"), 1e-11)
  raw = [_anchors_first(tensors[name]) for name in map(str, case.variant.levels)]
  _assert_same(dict(zip(map(str, range(len(raw))), raw, strict=True)), case.recorded("raw"), 1e-11)


@pytest.mark.parametrize("case", ["v7"], indirect=True)  # With all that is folded in.
def test_deployment_changes_no_output(case):
  case.fill()
  trained, made = case.model(case.images()), deployed(case.model)
  assert made is not case.model
  for level, value in made(case.images())["raw"].items():
    np.testing.assert_allclose(value, trained["raw"][level], atol=1e-11)
  assert deployed(made) is made


def test_deployment_leaves_auxiliary_heads_out():
  assert get_variant("v7-w6").auxiliary
  assert not get_variant("v7-w6").deployed().auxiliary


def test_gradients_and_statistics_of_a_step(case):
  case.fill()
  with tf.GradientTape() as tape:
    outputs = case.model(case.images(), training=True)
    flat = outputs["raw"] | {f"aux{k}": v for k, v in outputs.get("auxiliary", {}).items()}
    total = 0.0
    for index, name in enumerate(yolov7_names.outputs(case.variant)):
      theirs = tf.transpose(flat[name], [0, 3, 1, 2, 4])
      total += tf.reduce_sum(theirs * recipe.factors(tuple(theirs.shape), index))
  parameters = parameter_names(case.model)
  gradients = dict(zip(parameters, tape.gradient(total, list(parameters.values())), strict=True))
  after = {path: gradients.get(path, variable).numpy() for path, variable in case.variables.items()}
  theirs = case.plan.backward(after)
  _assert_same(
    {name: value for name, value in theirs.items() if "running" not in name},
    case.recorded("gradient"),
    1e-9,
  )
  _assert_same(
    {name: value for name, value in theirs.items() if "running" in name},
    case.recorded("statistic"),
    1e-11,
  )


def _channels_first(tensor):
  return tensor.numpy().transpose(0, 3, 1, 2)


def _anchors_first(tensor):
  return tensor.numpy().transpose(0, 3, 1, 2, 4)
