"""What is exported finds what the network finds."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from official.serving import image_files
from projects.yolo.serving import lite, saved_model
from projects.yolo.serving.detector import YoloDetector
from tests.projects.yolo.serving.conftest import SHAPES, task_config
from tools import export as export_tool
from tools import predict


@pytest.fixture(scope="module")
def images(data):
  return [image_files.read(data / f"{number}.jpg") for number in range(1, len(SHAPES) + 1)]


@pytest.fixture(scope="module")
def found(data, trained, images):
  """What the network finds in the images."""
  return YoloDetector(task_config(data), trained[1], 1).detect(images)


def flags(data, trained):
  config = task_config(data)
  task = {
    "model": {**config.model.as_dict()},
    "validation_data": {"input_path": config.validation_data.input_path},
    "train_data": {"input_path": config.validation_data.input_path},
  }
  override = f"--params_override={json.dumps({'task': task})}"
  return ["--experiment=yolo_v3_tiny_coco", f"--checkpoint={trained[1]}", override]


@pytest.fixture(scope="module", params=["lite", "lite_int8"])
def exported(request, data, trained, tmp_path_factory):
  """A format and a folder in it, by the command."""
  folder = tmp_path_factory.mktemp("exported") / request.param
  export_tool.main([*flags(data, trained), f"--format={request.param}", f"--output={folder}"])
  return request.param, folder


def test_a_saved_model_takes_bytes(data, trained, found, tmp_path):
  saved_model.export(task_config(data), trained[1], str(tmp_path / "saved"))
  serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
  for number, wanted in enumerate(found, 1):
    got = serve(image_bytes=tf.io.read_file(str(data / f"{number}.jpg")))
    assert got.keys() == wanted.keys()
    for key, value in wanted.items():
      np.testing.assert_allclose(got[key], value, 1e-5, 1e-5)


def test_lite_finds_what_the_network_finds(exported, images, found):
  """In floats the same; in integers, the scores to what eight bits leave of them."""
  kind, folder = exported
  for wanted, got in zip(found, lite.LiteDetector(folder).detect(images), strict=True):
    if kind == "lite":
      np.testing.assert_allclose(got["scores"], wanted["scores"], rtol=1e-5)
      rows, gotten = (np.column_stack([each["boxes"], each["classes"]]) for each in (wanted, got))
      # In another order where scores are next to equal.
      apart = np.abs(rows[:20, None] - gotten[None, :40]).max(-1).min(1)
      np.testing.assert_array_less(apart, 1e-3)
    error = np.abs(got["scores"][:20] - wanted["scores"][:20]).max()
    assert (error > 1e-5) == (kind == "lite_int8")  # Measured: 8e-4.
    assert error < 3e-3


def test_integers_take_a_quarter_of_the_room(exported, trained):
  kind, folder = exported
  weights = 4 * sum(np.prod(variable.shape) for variable in trained[0].trainable_variables)
  share = (folder / "network.tflite").stat().st_size / weights
  assert share == pytest.approx({"lite": 1.0, "lite_int8": 0.25}[kind], rel=0.05)


def test_predict_reads_what_was_exported(exported, data, images, tmp_path):
  _, folder = exported
  flags = [f"--exported={folder}", f"--output={tmp_path}", "--score_threshold=0.1"]
  assert predict.main([*flags, str(data / "1.jpg")]) == 0
  rows = json.loads((tmp_path / "detections.json").read_text())
  best = lite.LiteDetector(folder).detect(images[:1])[0]["scores"]
  assert [row["score"] for row in rows] == pytest.approx(best[best >= 0.1].tolist())
  assert {row["category_id"] for row in rows} <= {1, 2, 3, 4, 5}  # As the data has them.
  assert (tmp_path / "1.jpg").exists()


def _truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
  "settings.json: cannot be read": lambda folder: (folder / "settings.json").unlink(),
  "settings.json: damaged": lambda folder: _truncate(folder / "settings.json"),
  "detections.tflite: cannot be read": lambda folder: (folder / "detections.tflite").unlink(),
  "network.tflite: no LiteRT file, or damaged": lambda folder: _truncate(folder / "network.tflite"),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_export_is_named(exported, data, tmp_path, message):
  copy = shutil.copytree(exported[1], tmp_path / "copy")
  DAMAGES[message](copy)
  with pytest.raises(UserError, match=message):
    predict.main([f"--exported={copy}", f"--output={tmp_path / 'out'}", str(data / "1.jpg")])


@pytest.mark.parametrize(
  ("flag", "message"),
  [
    ("--experiment=yolo_v3_tiny_coco", "--experiment is of trained networks"),
    ("--names=coco.names", "--names is of --imported networks"),
  ],
)
def test_flags_that_contradict_each_other(exported, data, flag, message):
  with pytest.raises(UserError, match=message):
    predict.main([f"--exported={exported[1]}", flag, "--output=out", str(data / "1.jpg")])


def test_an_unknown_format(data, trained):
  with pytest.raises(UserError, match="--format onnx is none of yolo's"):
    export_tool.main([*flags(data, trained), "--format=onnx", "--output=out"])


def test_integers_need_the_training_data(data, trained, tmp_path):
  own = flags(data, trained)
  own[2] = own[2].replace('"train_data": {"input_path": "', '"train_data": {"input_path": "no')
  with pytest.raises(UserError, match=r"val\.json, the sidecar of no"):
    export_tool.main([*own, "--format=lite_int8", f"--output={tmp_path / 'out'}"])
  assert not (tmp_path / "out").exists()
