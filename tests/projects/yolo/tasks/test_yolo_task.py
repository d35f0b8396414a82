"""The task: it learns, decays the right weights, counts AP right, and its experiments hold."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import yaml

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.core import exp_factory, task_factory
from official.training import settings
from projects.yolo.dossier import DOSSIER

ROOT = pathlib.Path(__file__).resolve().parents[4]
CONFIGS = sorted((ROOT / "configs/yolo").glob("*.yaml"))


def _task(shapes, **changes):
  params = exp_factory.get_exp_config("yolo_v4_tiny_shapes").task
  params.override({"model": {"input_size": 64}, "init_checkpoint": ""} | changes)
  for data, split in ((params.train_data, "train"), (params.validation_data, "val")):
    data.override({"input_path": f"{shapes}/{split}-*.tfrecord", "global_batch_size": 4})
  return task_factory.get_task(params)


@pytest.fixture(scope="module")
def task(shapes):
  return _task(shapes)


def test_a_batch_is_learnt(task):
  tf_keras.utils.set_random_seed(0)
  model = task.build_model()
  inputs = next(iter(task.build_inputs(task.task_config.train_data)))
  optimizer = tf_keras.optimizers.legacy.Adam(2e-3)
  step = tf.function(lambda: task.train_step(inputs, model, optimizer)[task.loss])
  first = float(step())
  last = [float(step()) for _ in range(40)][-1]
  assert last < 0.6 * first


def _step(task, inputs, jit_compile):
  """Losses of two train steps, from the same weights."""
  tf_keras.utils.set_random_seed(1)
  model = task.build_model()
  optimizer = tf_keras.optimizers.legacy.SGD(0.01, momentum=0.9)
  step = tf.function(
    lambda: task.train_step(inputs, model, optimizer)[task.loss], jit_compile=jit_compile
  )
  return [float(step()) for _ in range(2)]


@pytest.mark.parametrize("kind", ["v7", "v7_ota"])
def test_losses_of_yolov7_learn(shapes, kind):
  changes = {"model": {"variant": "v7-tiny", "input_size": 64, "anchors": []}}
  task = _task(shapes, **changes, losses={"kind": kind})
  inputs = next(iter(task.build_inputs(task.task_config.train_data)))
  first, last = _step(task, inputs, jit_compile=False)
  assert last < first


def test_auxiliary_heads_add_a_quarter_in_training_alone(shapes):
  model = {"variant": "v7-w6", "input_size": 128, "anchors": []}
  task = _task(shapes, model=model, losses={"kind": "v7_aux_ota"})
  rng = np.random.default_rng(0)
  shape = lambda level: [1, 128 >> level, 128 >> level, 3, 11]
  raw = {str(level): tf.constant(rng.normal(size=shape(level))) for level in range(3, 7)}
  labels = {
    "boxes": tf.constant([[[0.2, 0.2, 0.6, 0.7]]], tf.float64),
    "classes": tf.constant([[1]]),
    "valid": tf.constant([[True]]),
  }
  lead = task.build_losses(labels, {"raw": raw})["objectness_loss"]
  both = task.build_losses(labels, {"raw": raw, "auxiliary": raw})["objectness_loss"]
  assert 1.2 < both / lead < 1.3


def test_a_loss_that_does_not_fit_is_named(shapes):
  task = _task(shapes, losses={"kind": "ota"})
  with pytest.raises(UserError, match=r"task\.losses\.kind 'ota': use one of scaled, v7"):
    task.build_losses({}, {})
  task = _task(shapes, losses={"kind": "v7_aux_ota"})
  with pytest.raises(UserError, match="v4-tiny has no auxiliary heads"):
    task.build_losses({}, {})
  task = _task(shapes, losses={"kind": "darknet_v4"})
  with pytest.raises(UserError, match="'darknet_v4' is of exponential coordinates; use scaled"):
    task.build_losses({}, {})


def test_darknets_loss_by_name(shapes):
  """Gains are the configuration's; the gradient is the derivative only where it is asked for."""
  config = {"model": {"input_size": 64, "coordinates": "exponential"}}
  own = {"kind": "darknet_v4", "box": 0.07, "objectness": 1.0, "classes": 1.0}
  _, labels = next(iter(_task(shapes, **config).build_inputs(_task(shapes).task_config.train_data)))
  shape = lambda level: [4, 64 >> level, 64 >> level, 3, 11]
  raw = {str(level): tf.random.stateless_normal(shape(level), (0, level)) for level in (4, 5)}
  found = []
  for changes in ({}, {"exact_gradient": True}, {"box": 0.14}):
    task = _task(shapes, **config, losses=own | changes)
    with tf.GradientTape() as tape:
      tape.watch(raw)
      losses = task.build_losses(labels, {"raw": raw})
    found.append((losses, tape.gradient(losses["box_loss"], raw)["4"]))
  (usual, theirs), (exact, derivative), (twice, _) = found
  assert float(usual["total_loss"]) == float(exact["total_loss"]) > 0
  np.testing.assert_allclose(twice["box_loss"], 2 * usual["box_loss"], rtol=1e-6)
  assert np.abs(theirs - derivative).max() > 0.1 * np.abs(theirs).max() > 0


@pytest.fixture
def under_policy():
  """Sets a Keras dtype policy until the test ends."""
  before = tf_keras.mixed_precision.global_policy()
  yield tf_keras.mixed_precision.set_global_policy
  tf_keras.mixed_precision.set_global_policy(before)


def test_train_step_compiles_under_xla(task, under_policy):
  under_policy("float64")
  inputs = next(iter(task.build_inputs(task.task_config.train_data)))
  graph = _step(task, inputs, jit_compile=False)
  np.testing.assert_allclose(_step(task, inputs, jit_compile=True), graph, rtol=1e-9)


def test_objects_are_hidden_in_half_of_the_later_steps(shapes):
  """From `start` on, by a rate that grows; statistics are moved by the training step alone."""
  task = _task(shapes, adversarial={"rate": 0.5, "start": 9, "steps": 100})
  model = task.build_model()
  inputs = next(iter(task.build_inputs(task.task_config.train_data)))
  plain = tf.cast(inputs[0], tf.float32) / 255
  moving = [variable.numpy() for variable in model.non_trainable_variables]
  moves = [
    float(tf.reduce_max(tf.abs(task._with_hidden_objects(inputs[0], model, step) - plain)))
    for step in range(60)
  ]
  assert not any(moves[:10])
  assert 15 < np.count_nonzero(moves[10:]) < 35
  for before, variable in zip(moving, model.non_trainable_variables, strict=True):
    np.testing.assert_array_equal(before, variable)
  optimizer = tf_keras.optimizers.legacy.SGD(1e-3)
  optimizer.iterations.assign(int(np.nonzero(moves)[0][0]))
  logs = tf.function(lambda: task.train_step(inputs, model, optimizer), jit_compile=True)()
  assert np.isfinite(logs[task.loss])


def test_trains_in_bfloat16(task, under_policy):
  under_policy("mixed_bfloat16")
  inputs = next(iter(task.build_inputs(task.task_config.train_data)))
  first, second = _step(task, inputs, jit_compile=False)
  assert np.isfinite(first)
  assert second < first


def test_decay_is_of_convolution_kernels_alone(task):
  model = task.build_model()
  zeros = [tf.zeros_like(weight) for weight in model.trainable_weights]
  decay = task.task_config.weight_decay
  decayed = 0
  for weight, gradient in zip(model.trainable_weights, task._decayed(zeros, model), strict=True):
    is_kernel = len(weight.shape) == 4
    np.testing.assert_allclose(gradient, decay * weight if is_kernel else 0 * weight)
    decayed += is_kernel
  # v4-tiny has 21 convolutions.
  assert decayed == 21


def test_perfect_detections_have_ap_one_and_none_have_zero(task):
  model = task.build_model()
  states = {"perfect": None, "none": None}
  step = tf.function(lambda inputs: task.validation_step(inputs, model))
  for inputs in task.build_inputs(task.task_config.validation_data):
    outputs = step(inputs)
    truth = outputs["groundtruths"]
    found = {
      "boxes": truth["boxes"],
      "classes": truth["classes"],
      "scores": tf.cast(truth["valid"], tf.float32),
      "count": tf.reduce_sum(tf.cast(truth["valid"], tf.int32), -1),
    }
    nothing = found | {"count": tf.zeros_like(found["count"])}
    for name, detections in (("perfect", found), ("none", nothing)):
      changes = {"detections": detections, "boxes_on_input": found["boxes"]}
      logs = tf.nest.map_structure(lambda x: (x,), outputs | changes)
      states[name] = task.aggregate_logs(states[name], logs)
  figures = {name: task.reduce_aggregated_logs(state) for name, state in states.items()}
  assert figures["perfect"]["AP"] == pytest.approx(1)
  assert figures["none"]["AP"] == 0
  assert len(states["perfect"]["evaluator"].ground_truth()["images"]) == 6
  assert figures["perfect"]["image/detections"].shape == (4, 320, 320, 3)


def test_a_run_starts_from_another_ones_weights(task, shapes, tmp_path):
  donor = task.build_model()
  for weight in donor.weights:
    weight.assign_add(tf.random.stateless_uniform(weight.shape, [1, 2], dtype=weight.dtype))
  prefix = tf.train.Checkpoint(model=donor).save(str(tmp_path / "ckpt"))
  heir_task = _task(shapes, init_checkpoint=prefix)
  heir = heir_task.build_model()
  heir_task.initialize(heir)
  for mine, theirs in zip(heir.weights, donor.weights, strict=True):
    np.testing.assert_array_equal(mine, theirs)
  other = _task(shapes, init_checkpoint=prefix, model={"input_size": 64, "variant": "v3-tiny"})
  with pytest.raises(UserError, match="of another model"):
    other.initialize(other.build_model())


def test_a_wrong_number_of_classes_is_named(shapes):
  task = _task(shapes, model={"input_size": 64, "num_classes": 80})
  with pytest.raises(UserError, match=r"80.*6 thing categories"):
    task.build_inputs(task.task_config.train_data)


def test_names_come_from_an_annotation_file_where_one_is_given(shapes):
  task = _task(shapes, categories=f"{shapes}/annotations/instances_train.json")
  names = [category.name for category in task.categories(task.task_config.train_data)]
  assert names == ["circle", "square", "triangle", "star", "cross", "ring"]


@pytest.mark.parametrize("path", CONFIGS, ids=[path.name for path in CONFIGS])
def test_every_configuration_fits_the_experiment_that_its_header_runs(path):
  text = path.read_text()
  header = [line for line in text.splitlines() if line.startswith("#")]
  for word in ("Paper:", "Command:", "Cost:", "Expected:"):
    assert any(line.startswith(f"# {word}") for line in header), word
  assert f"--config_file=configs/yolo/{path.name}" in text
  name = text.split("--experiment=")[1].split()[0]
  settings.override(settings.experiment(name), yaml.safe_load(text), path.name)


def test_every_experiment_is_in_the_dossier_and_builds():
  names = [name for name in settings.registered() if name.startswith("yolo_")]
  assert sorted(DOSSIER.experiments) == sorted(names)
  for name in names:
    settings.experiment(name).validate()


def test_a_stem_on_quads_gets_quads_in_training_alone(shapes):
  task = _task(shapes, model={"input_size": 64, "stem_on_quads": True})
  data = task.task_config
  for params, shape in ((data.train_data, (32, 32, 12)), (data.validation_data, (64, 64, 3))):
    images, _ = task.build_inputs(params).element_spec
    assert images.shape[1:] == shape
    assert images.dtype == tf.uint8
