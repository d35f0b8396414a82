"""Which classes a run's data has: of annotation files, of sidecars, of TFDS."""

import json
import types

import pytest

from official.cli.errors import UserError
from official.core import config_definitions as cfg
from official.datasets import categories
from official.datasets.categories import read_categories, read_things

ROWS = [
  {"id": 5, "name": "b", "isthing": 0},
  {"id": 9, "name": "a", "isthing": 1},
  {"id": 3, "name": "c", "isthing": 1},
]


@pytest.mark.parametrize(
  ("content", "expected", "things"),
  [
    (ROWS, [3, 9, 5], [3, 9]),
    ({"categories": [{"id": 7, "name": "c"}, {"id": 2, "name": "d"}]}, [2, 7], [2, 7]),
  ],
)
def test_categories_of_an_annotation_file(tmp_path, content, expected, things):
  path = tmp_path / "a.json"
  path.write_text(json.dumps(content))
  params = cfg.DataConfig(input_path="none", tfds_name="none")  # The file goes first.
  assert [category.id for category in read_categories(params, str(path))] == expected
  assert [category.id for category in read_things(params, str(path))] == things


def test_categories_of_the_first_sidecar(tmp_path):
  path = f"{tmp_path}/train-*.tfrecord, {tmp_path}/gone-*.tfrecord"
  sidecar = {"categories": ROWS, "examples": [1], "boxes": 0, "skipped": []}
  (tmp_path / "train.json").write_text(json.dumps(sidecar))
  (tmp_path / "train-00000-of-00001.tfrecord").touch()
  params = cfg.DataConfig(input_path=path)
  assert [category.id for category in read_categories(params)] == [5, 9, 3]  # As written.
  assert [category.id for category in read_things(params)] == [9, 3]


@pytest.mark.parametrize("read", [read_categories, read_things])
@pytest.mark.parametrize(
  ("content", "message"),
  [("{}", "has no COCO categories"), ("[]", "names no category"), ("[{}]", "no COCO categories")],
)
def test_bad_files(tmp_path, read, content, message):
  (tmp_path / "a.json").write_text(content)
  with pytest.raises(UserError, match=message):
    read(cfg.DataConfig(), str(tmp_path / "a.json"))
  with pytest.raises(UserError, match=r"cannot read '.*gone\.json'"):
    read(cfg.DataConfig(), str(tmp_path / "gone.json"))


def test_stuff_alone_is_nothing_to_detect(tmp_path):
  (tmp_path / "a.json").write_text(json.dumps(ROWS[:1]))
  with pytest.raises(UserError, match=r"a\.json' names no thing category"):
    read_things(cfg.DataConfig(), str(tmp_path / "a.json"))


def _labels(*names):
  return types.SimpleNamespace(feature={"label": types.SimpleNamespace(names=names)})


def test_tfds_tells_names_and_things(monkeypatch):
  features = {"objects": _labels("cat", "dog"), "panoptic_objects": _labels("dog", "sky", "cat")}
  monkeypatch.setattr(categories, "_features", lambda params: features)
  params = cfg.DataConfig(tfds_name="coco/2017_panoptic")
  assert [(c.id, c.name, c.isthing) for c in read_categories(params)] == [
    *((0, "dog", True), (1, "sky", False), (2, "cat", True))
  ]
  assert [(c.id, c.name, c.isthing) for c in read_things(params)] == [
    *((0, "cat", True), (1, "dog", True))
  ]
  del features["panoptic_objects"]
  assert len(read_things(params)) == 2
  with pytest.raises(UserError, match="does not tell things from stuff"):
    read_categories(params)
