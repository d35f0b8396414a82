import pathlib

import pytest

from official.cli.errors import UserError
from official.datasets.annotations import Category
from official.datasets.records import Sidecar, count_records, load_sidecar, save_sidecar, shard_path
from official.datasets.tfrecord import frame

RECORDS = [frame(b"a" * n) for n in (0, 5, 3000)]
SIDECAR = Sidecar(
  (Category(3, "cat", True), Category(7, "dog", True), Category(99, "sky", False)),
  (4, 3),
  12,
  ("x.jpg: image id 1: gone",),
)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_counts_whole_records(tmp_path, count):
  path = tmp_path / "x.tfrecord"
  path.write_bytes(b"".join(RECORDS[:count]))
  assert count_records(path) == count


@pytest.mark.parametrize("cut", [1, 4, 16, 17, 30, 36, 37, 40, 49, 2000, 3052])
def test_truncation_names_file_and_byte(tmp_path, cut):
  data = b"".join(RECORDS)
  assert len(data) == 16 + 21 + 3016
  path = tmp_path / "x.tfrecord"
  path.write_bytes(data[:cut])
  starts = [0, 16, 37]
  if cut in starts:
    assert count_records(path) == starts.index(cut)
    return
  begin = max(start for start in starts if start < cut)
  with pytest.raises(UserError, match=rf"x\.tfrecord .* at byte {begin} .* ends at {cut}$"):
    count_records(path)


def test_missing_file(tmp_path):
  with pytest.raises(UserError, match=r"gone\.tfrecord: No such file"):
    count_records(tmp_path / "gone.tfrecord")


@pytest.mark.parametrize(
  "pattern",
  [
    "train",
    "train.json",
    "train-00001-of-00002.tfrecord",
    "train-*.tfrecord",
    "train*.tfrecord",
    "train-*-of-*.tfrecord",
    "train-?????-of-?????.tfrecord",
    "train-*-of-00002.tfrecord",
    "train-*",
    "train*",
    "train-*.tfrecord*",
  ],
)
def test_sidecar_of_any_name_for_the_shards(tmp_path, pattern):
  save_sidecar(tmp_path / "train", SIDECAR)
  save_sidecar(tmp_path / "val", Sidecar((), (), 0, ()))
  assert load_sidecar(tmp_path / pattern) == SIDECAR
  assert [category.id for category in SIDECAR.things] == [3, 7]


def test_shard_names():
  assert shard_path(pathlib.Path("a/b"), 3, 12).as_posix() == ("a/b-00003-of-00012.tfrecord")


def test_missing_sidecar_hints_at_the_nearest(tmp_path):
  save_sidecar(tmp_path / "train", SIDECAR)
  with pytest.raises(UserError, match=r"no .*trian\.json.*did you mean .*train\.json'\?$"):
    load_sidecar(tmp_path / "trian-*.tfrecord")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"categories": [{"id": 1}]}'])
def test_broken_sidecar(tmp_path, text):
  (tmp_path / "train.json").write_text(text)
  with pytest.raises(UserError, match=r"train\.json is not a sidecar"):
    load_sidecar(tmp_path / "train")
