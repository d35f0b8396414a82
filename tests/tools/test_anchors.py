"""`anchors` on records: what it prints is an override, and bad input is named."""

import re
from pathlib import Path

import pytest

from official.cli.errors import UserError
from projects.yolo.configs.yolo import Model
from tools import anchors, prepare_data


@pytest.fixture(scope="module")
def records(tmp_path_factory):
  folder = tmp_path_factory.mktemp("shapes")
  with pytest.MonkeyPatch.context() as patch:
    arguments = ["shapes", f"--output={folder}", "--train=24", "--val=1", "--size=64"]
    patch.setattr("sys.argv", ["prepare_data", *arguments])
    prepare_data.main()
  return folder


def _run(records, *more):
  anchors.main([f"--input={records}/train-*.tfrecord", "--variant=v4-tiny", "--size=128", *more])


def test_it_prints_anchors_of_the_variants_number_that_fit_better(records, capsys):
  _run(records, "--generations=50")
  out = capsys.readouterr().out
  numbers = re.search(r"task\.model\.anchors=\[(.*)\]", out)[1].split(",")
  config = Model(anchors=list(map(float, numbers)))
  areas = [w * h for w, h in zip(config.anchors[::2], config.anchors[1::2], strict=True)]
  assert len(areas) == 6
  assert areas == sorted(areas)
  rows = {line.split()[0]: float(line.split()[1]) for line in out.splitlines()[2:5]}
  assert rows["evolved"] > rows["v4-tiny"]
  # Records are of 64², the input of 128²: objects of up to half the image are up to 64 pixels wide.
  assert max(config.anchors) < 128
  assert max(config.anchors) > 32


def test_the_same_seed_prints_the_same(records, capsys):
  found = []
  for seed in (3, 3, 4):
    _run(records, "--generations=20", f"--seed={seed}")
    found.append(capsys.readouterr().out)
  assert found[0] == found[1] != found[2]


def test_bad_input_is_named(records, tmp_path):
  with pytest.raises(UserError, match="--ratio-threshold 1: use a number above 1"):
    _run(records, "--ratio-threshold=1")
  with pytest.raises(UserError, match="no YOLO variant 'v9'"):
    _run(records, "--variant=v9")
  with pytest.raises(UserError, match="the sidecar of"):
    _run(tmp_path)
  for file in filter(Path.is_file, records.iterdir()):
    data = file.read_bytes()
    (tmp_path / file.name).write_bytes(
      data[:-9] if "train" in file.name and file.suffix != ".json" else data
    )
  with pytest.raises(UserError, match="is truncated: record 23"):
    _run(tmp_path)
