import json
import pathlib
import subprocess
import sys

import pytest

from official.cli.errors import UserError
from official.datasets.records import load_sidecar
from tests.official.datasets import layouts
from tools import prepare_data


def call(monkeypatch, *arguments):
  monkeypatch.setattr(sys, "argv", ["prepare_data", *map(str, arguments)])
  prepare_data.main()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  root = tmp_path_factory.mktemp("made")
  with pytest.MonkeyPatch.context() as patch:
    options = ["--train", "5", "--val", "2", "--size", "64", "--seed", "1", "--workers", "1"]
    call(patch, "shapes", "--output", root, *options)
  return root


def coco(made, out):
  instances = made / "annotations/instances_train.json"
  images = made / "images/train"
  return ["coco", "--images", images, "--instances", instances, "--output", out, "--workers", 1]


def test_shapes_then_coco_give_the_same_records(made, tmp_path, monkeypatch, capsys):
  panoptic = made / "annotations/panoptic_train.json"
  extra = ["--panoptic", panoptic, "--panoptic-masks", panoptic.with_suffix(""), "--masks"]
  call(monkeypatch, *coco(made, tmp_path / "train"), "--shards", 1, *extra)
  name = "train-00000-of-00001.tfrecord"
  assert (tmp_path / name).read_bytes() == (made / name).read_bytes()
  boxes = load_sidecar(made / "train").boxes
  assert f"train: 5 examples with {boxes} objects in 1 files, 0 left out" in capsys.readouterr().out


def test_skipping_lists_and_counts(made, tmp_path, monkeypatch, capsys):
  content = json.loads((made / "annotations/instances_train.json").read_text())
  content["annotations"][0]["category_id"] = 2
  content["images"].append({"id": 999, "file_name": "gone.jpg", "height": 64, "width": 64})
  path = tmp_path / "instances.json"
  path.write_text(json.dumps(content))
  arguments = coco(made, tmp_path / "x") + ["--instances", path, "--shards", 1]
  with pytest.raises(UserError, match="category 2 is not in the table"):
    call(monkeypatch, *arguments)
  call(monkeypatch, *arguments, "--on-error", "skip")
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith(f"left out: {path}: annotation id ")
  assert lines[1].startswith("left out: ")
  assert "gone.jpg: image id 999: cannot read" in lines[1]
  assert lines[2].endswith("in 1 files, 2 left out")
  assert len(load_sidecar(tmp_path / "x").skipped) == 2


def test_tfds(made, tmp_path, monkeypatch, capsys):
  images = [made / "images" / name for name in ("train", "val")]
  instances = [made / f"annotations/instances_{name}.json" for name in ("train", "val")]
  splits = ["--splits", "train", "test", "--output", tmp_path, "--name", "tiny"]
  call(monkeypatch, "tfds", "--images", *images, "--instances", *instances, *splits)
  assert "examples: 5 in train, 2 in test; 0 left out" in capsys.readouterr().out
  assert (tmp_path / "tiny/1.0.0/dataset_info.json").exists()


def test_bad_input_is_one_line_and_exit_code_2(made, tmp_path):
  root = pathlib.Path(__file__).resolve().parents[2]
  (tmp_path / "broken.json").write_text('{"images": [')
  arguments = [*coco(made, tmp_path / "x"), "--shards", 1, "--instances", tmp_path / "broken.json"]
  command = [sys.executable, "-m", "tools.prepare_data", *map(str, arguments)]
  result = subprocess.run(command, cwd=root, capture_output=True, text=True)
  assert result.returncode == 2
  assert len(result.stderr.splitlines()) == 1
  assert result.stderr.startswith(f"error: {tmp_path}/broken.json is not JSON")
  assert result.stdout == ""
  assert not list(tmp_path.glob("x*"))


LABELLED = {
  "ade20k": ("validation", lambda root: [layouts.ade20k(root), []][1]),
  "ade20k panoptic": (
    "validation", lambda root: ["--instance-categories", layouts.ade20k(root)],
  ),
  "ade20k-full": ("training", lambda root: ["--categories", layouts.ade20k_full(root)]),
  "cityscapes": ("val", lambda root: layouts.cityscapes(root) or []),
  "mapillary": ("training", lambda root: ["--categories", layouts.mapillary(root)]),
  "coco-stuff": ("train", lambda root: ["--categories", layouts.coco_stuff(root)]),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELLED)
def test_label_files(name, tmp_path, monkeypatch, capsys):
  split, make = LABELLED[name]
  options = ["--root", tmp_path, "--split", split, "--output", tmp_path / "out/x", "--shards", 2]
  call(monkeypatch, name.split()[0], *make(tmp_path), *options, "--workers", 1)
  assert "x: 2 examples with 0 objects in 2 files, 0 left out" in capsys.readouterr().out
  sidecar = load_sidecar(tmp_path / "out/x")
  assert sidecar.examples == (1, 1)
  assert bool(sidecar.things) == (name == "ade20k panoptic")


def test_bad_label_files_are_listed(tmp_path, monkeypatch, capsys):
  layouts.ade20k(tmp_path)
  (tmp_path / "annotations/validation/ADE_val_00000001.png").unlink()
  options = ["--root", tmp_path, "--split", "validation", "--output", tmp_path / "x", "--shards", 1]
  with pytest.raises(UserError, match="image id 1: cannot read the labels"):
    call(monkeypatch, "ade20k", *options)
  call(monkeypatch, "ade20k", *options, "--on-error", "skip")
  assert "x: 1 examples with 0 objects in 1 files, 1 left out" in capsys.readouterr().out


@pytest.mark.parametrize(
  "command",
  [[], ["shapes"], ["coco"], ["tfds"], *([name] for name in LABELLED if " " not in name)],
)
def test_help_has_examples_and_needs_no_tensorflow(command, capsys, monkeypatch):
  for name in [n for n in sys.modules if n.split(".")[0] in ("tensorflow", "numpy", "PIL")]:
    monkeypatch.setitem(sys.modules, name, None)
  with pytest.raises(SystemExit) as done:
    call(monkeypatch, *command, "--help")
  assert done.value.code == 0
  text = capsys.readouterr().out
  assert f"python -m tools.prepare_data {command[0] if command else 'shapes'} --" in text


def test_misspelt_option(monkeypatch):
  with pytest.raises(UserError, match=r"--outptu.*did you mean '--output'"):
    call(monkeypatch, "shapes", "--output", "x", "--outptu", "y")
