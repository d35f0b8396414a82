"""`predict` from a run's folder to pictures and a results file."""

import contextlib
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools.coco import COCO

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.datasets.annotations import Category
from official.serving import image_files
from official.training import record, settings
from projects import dossiers
from tools import predict

EXPERIMENT = "yolo_v4_tiny_shapes"
CATEGORIES = [Category(10 * (6 - i), f"thing{i}", True) for i in range(6)]
OVERRIDES = {
  "task": {"model": {"input_size": 64, "detection": {"score_threshold": 0.0, "max_detections": 9}}}
}


@pytest.fixture(scope="module")
def params():
  experiment = settings.experiment(EXPERIMENT)
  settings.override(experiment, OVERRIDES, "test")
  return experiment


@pytest.fixture(scope="module")
def run(params, tmp_path_factory):
  """A run's folder: settings, categories, a checkpoint of zeros, and a best one of noise."""
  from official.core import task_factory

  folder = tmp_path_factory.mktemp("run")
  record.save(params, str(folder))
  record.save_categories(CATEGORIES, str(folder))
  model = task_factory.get_task(params.task).build_model()
  rng = np.random.default_rng(0)
  for variable in model.trainable_variables:
    variable.assign_add(0.05 * rng.normal(size=variable.shape))
  tf.train.Checkpoint(model=model).write(str(folder / "best" / "best_ckpt-2"))
  for variable in model.trainable_variables:
    variable.assign(tf.zeros_like(variable))
  tf.train.Checkpoint(model=model).write(str(folder / "ckpt-4"))
  return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
  """Ten images, more than a batch, of several kinds and sizes."""
  folder = tmp_path_factory.mktemp("photos")
  rng = np.random.default_rng(1)
  for number in range(10):
    shape = (30 + 7 * number, 90 - 5 * number)
    pixels = rng.integers(0, 256, (*shape, 3) if number % 3 else shape, np.uint8)
    Image.fromarray(pixels).save(folder / f"{number + 100:06d}.{'png' if number % 2 else 'jpg'}")
  return folder


def command(run, output, *rest):
  return [
    f"--experiment={EXPERIMENT}",
    f"--checkpoint={run}",
    f"--output={output}",
    *map(str, rest),
  ]


def read(output):
  return json.loads((output / "detections.json").read_text())


def test_pictures_and_results(run, photos, params, tmp_path, capsys):
  output = tmp_path / "out"
  assert predict.main(command(run, output, "--score_threshold=0", photos)) == 0

  captured = capsys.readouterr()
  assert captured.out == f"{output}: 90 detections in 10 images, 0 left out\n"
  assert f"predicting with {run}/best/best_ckpt-2" in captured.err
  paths = sorted(photos.iterdir())
  names = sorted([f"{path.stem}.jpg" for path in paths] + ["detections.json"])
  assert sorted(path.name for path in output.iterdir()) == names

  rows = read(output)
  detector = dossiers.of_experiment(EXPERIMENT).detector(
    params.task, f"{run}/best/best_ckpt-2", batch_size=1
  )
  for path in paths:
    (expected,) = detector.detect([image_files.read(path)])
    found = [row for row in rows if row["file_name"] == path.name]
    assert {row["image_id"] for row in found} == {int(path.stem)}
    ids = [CATEGORIES[index].id for index in expected["classes"]]
    assert [row["category_id"] for row in found] == ids
    np.testing.assert_allclose([row["score"] for row in found], expected["scores"], 1e-5)
    x, y, w, h = np.transpose([row["bbox"] for row in found])
    np.testing.assert_allclose(np.stack([y, x, y + h, x + w], 1), expected["boxes"], 1e-4, 1e-4)


def test_pycocotools_takes_the_results(run, photos, tmp_path):
  predict.main(command(run, tmp_path, "--score_threshold=0", photos))
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = {"images": [{"id": 100 + i} for i in range(10)], "categories": []}
    truth.createIndex()
    assert len(truth.loadRes(str(tmp_path / "detections.json")).anns) == 90


def test_the_score_threshold_holds_for_the_results(run, photos, tmp_path):
  predict.main(command(run, tmp_path / "all", "--score_threshold=0", photos))
  scores = sorted(row["score"] for row in read(tmp_path / "all"))
  middle = (scores[44] + scores[45]) / 2
  predict.main(command(run, tmp_path / "half", f"--score_threshold={middle}", photos))
  assert sorted(row["score"] for row in read(tmp_path / "half")) == scores[45:]


def test_a_checkpoint_by_name_and_overrides(run, photos, tmp_path, capsys):
  override = "--params_override=task.model.detection.max_detections=2"
  photo = photos / "000100.jpg"
  code = predict.main(command(run / "ckpt-4", tmp_path, override, "--score_threshold=0.2", photo))
  assert code == 0
  assert f"predicting with {run}/ckpt-4" in capsys.readouterr().err
  # All weights are zero: each score is σ(0)².
  assert [row["score"] for row in read(tmp_path)] == pytest.approx([0.25, 0.25])


def test_what_cannot_be_read_is_left_out_and_listed(run, photos, tmp_path, capsys):
  broken = tmp_path / "broken.jpg"
  broken.write_bytes((photos / "000100.jpg").read_bytes()[:300])
  whole = photos / "000101.png"
  assert predict.main(command(run, tmp_path / "out", "--score_threshold=0", broken, whole)) == 2
  captured = capsys.readouterr()
  assert "9 detections in 1 images, 1 left out" in captured.out
  assert f"left out: {broken}: cannot be read" in captured.err
  assert {row["file_name"] for row in read(tmp_path / "out")} == {"000101.png"}
  assert not (tmp_path / "out" / "broken.jpg").exists()


def test_without_a_record_the_defaults_and_bare_numbers_are_announced(
  run, photos, tmp_path, capsys, monkeypatch
):
  bare = tmp_path / "bare"
  bare.mkdir()
  for path in run.glob("ckpt-4*"):
    (bare / path.name).write_bytes(path.read_bytes())
  monkeypatch.chdir(tmp_path)  # Where there is no data.
  override = "--params_override=task.model.input_size=64"
  arguments = command(
    bare, tmp_path / "out", override, "--score_threshold=0.2", photos / "000100.jpg"
  )
  assert predict.main(arguments) == 0
  errors = capsys.readouterr().err
  assert f"no params.yaml at {bare}: using the experiment's defaults" in errors
  assert "class names are not known (no " in errors
  assert {row["category_id"] for row in read(tmp_path / "out")} <= set(range(6))


def test_pictures_never_replace_each_other_or_an_image(run, photos, tmp_path):
  for name in ("a/1.png", "b/1.png", "b/1-2.png"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    Image.new("RGB", (20, 20)).save(tmp_path / name)
  inputs = [tmp_path / "a", tmp_path / "b"]
  predict.main(command(run, tmp_path / "out", *inputs))
  names = sorted(path.name for path in (tmp_path / "out").glob("*.jpg"))
  assert names == ["1-2.jpg", "1-3.jpg", "1.jpg"]
  with pytest.raises(UserError, match=r"would overwrite .*000100\.jpg"):
    predict.main(command(run, photos, photos / "000100.jpg"))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"--experiment": "yolo_v4_tiny_shape"}, "did you mean 'yolo_v4_tiny_shapes'"),
    ({"--checkpoint": "none"}, "no checkpoint at none"),
    ({"--params_override": "task.model.num_class=3"}, "did you mean 'num_classes'"),
    ({"--params_override": "task.model.num_classes=3"}, "was trained on 6 categories"),
    ({"--params_override": "task.model.variant=v3-tiny"}, "cannot be loaded"),
    ({"--score_threshold": "x"}, "invalid float value: 'x'"),
  ],
)
def test_mistakes_are_one_line(run, photos, tmp_path, changes, message):
  flags = {"--experiment": EXPERIMENT, "--checkpoint": run, "--output": tmp_path} | changes
  with pytest.raises(UserError) as caught:
    predict.main([*(f"{flag}={value}" for flag, value in flags.items()), str(photos)])
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)
  assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
  """A `.cfg` and its `.weights`: every score is σ(0)²; and the names of its two classes."""
  folder = tmp_path_factory.mktemp("foreign")
  (folder / "net.cfg").write_text(
    "[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=7\nsize=1\nstride=32\n"
    "activation=linear\n[yolo]\nmask=0\nanchors=8,8\nclasses=2\n"
  )
  numbers = np.zeros(7 + 7 * 3, "<f4")
  header = np.array([0, 2, 5, 0, 0], "<i4")
  (folder / "net.weights").write_bytes(header.tobytes() + numbers.tobytes())
  (folder / "net.names").write_text("cat\n\n dog \n")
  return folder


def test_foreign_networks(foreign, photos, tmp_path, capsys):
  files = [str(foreign / "net.cfg"), str(foreign / "net.weights")]
  photo = str(photos / "000101.png")
  arguments = ["--imported", *files, f"--output={tmp_path}", "--score_threshold=0.2", photo]
  assert predict.main([*arguments, f"--names={foreign / 'net.names'}"]) == 0
  captured = capsys.readouterr()
  assert f"predicting with {files[1]}" in captured.err
  assert "class names are not known" not in captured.err
  rows = read(tmp_path)
  assert sorted(row["category_id"] for row in rows) == [0, 1]
  assert [row["score"] for row in rows] == pytest.approx([0.25, 0.25])
  assert (tmp_path / "000101.jpg").exists()
  assert predict.main(arguments) == 0
  assert "class names are not known (give --names)" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"--experiment": EXPERIMENT}, "--experiment is of trained networks"),
    ({"--checkpoint": "runs"}, "--checkpoint is of trained networks"),
    ({"--params_override": "a=1"}, "--params_override is of trained networks"),
    ({"--imported": ("net.pt", "net.cfg")}, "no project reads such files; known are NET.cfg NET.w"),
    ({"--imported": ("none.cfg", "net.weights")}, "none.cfg: cannot be read"),
    ({"--imported": ("net.cfg", "none.weights")}, "none.weights"),
    ({"--names": "none.names"}, "none.names: cannot be read"),
    ({"--names": "net.cfg"}, "net.cfg has 12 names for 2 classes"),
    ({"--imported": None}, "give --experiment and --checkpoint, or --exported"),
    ({"--imported": None, "--experiment": EXPERIMENT}, "give --experiment and --checkpoint"),
    (
      {"--imported": None, "--experiment": EXPERIMENT, "--checkpoint": "x", "--names": "net.names"},
      "--names is of --imported networks",
    ),
  ],
)
def test_mistakes_about_foreign_networks_are_one_line(foreign, photos, tmp_path, changes, message):
  flags = {"--imported": ("net.cfg", "net.weights"), "--output": tmp_path} | changes
  arguments = []
  for flag, value in flags.items():
    if flag == "--imported":
      arguments += [flag, *(str(foreign / name) for name in value)] if value else []
    else:
      arguments.append(f"{flag}={foreign / value if flag == '--names' else value}")
  with pytest.raises(UserError) as caught:
    predict.main([*arguments, str(photos)])
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)
  assert not list(tmp_path.iterdir())
