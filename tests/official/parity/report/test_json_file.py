"""report.json: strict JSON, whole, and read back without loss."""

import dataclasses
import enum
import json
import math
from pathlib import Path

import numpy as np
import pytest

from official.cli.errors import UserError
from official.parity.report.json_file import read_json, write_json
from official.parity.result import Result


def _refuse(token):
  raise AssertionError(f"{token} is not JSON")


def _round_trip(result, path):
  write_json(result, path)
  json.loads(path.read_text(), parse_constant=_refuse)
  return read_json(path)


def test_round_trip(broken, tmp_path):
  # Compared by repr, since NaN is not equal to itself.
  assert repr(_round_trip(broken, tmp_path / "new/report.json")) == repr(broken)


def test_any_result_comes_back(random_result, tmp_path):
  for seed in range(100):
    result = random_result(seed)
    assert repr(_round_trip(result, tmp_path / "report.json")) == repr(result)


def test_the_schema(broken, tmp_path):
  write_json(broken, tmp_path / "report.json")
  report = json.loads((tmp_path / "report.json").read_text())
  assert (report["format"], report["version"]) == ("transplant parity report", 1)
  assert report["same"] is False
  assert set(report) == {"format", "version", "same"} | {f.name for f in dataclasses.fields(Result)}
  stage = report["stages"][0]
  assert stage["findings"][0] == {
    "stage": "forward",
    "section": "output",
    "phase": "eval",
    "name": "net/c1/conv",
    "reference": "net.c1.conv",
    "order": 0,
    "layer": "Conv",
    "status": "same",
    "error": 1e-15,
    "noise": 0.0,
    "limit": 1e-9,
  }
  assert stage["findings"][8]["error"] == {"number": "inf"}
  assert stage["blames"][0]["diagnoses"][0]["cause"] == "normalization_epsilon"
  assert report["coverage"] == {"output": [7, 1, 1]}


def test_a_finding_is_a_line(broken, tmp_path):
  write_json(broken, tmp_path / "report.json")
  lines = (tmp_path / "report.json").read_text().splitlines()
  assert sum('"name":"net/c2/conv"' in line for line in lines) == 1
  assert sum('"phase":' in line for line in lines) == 10


def test_settings_hold_anything(broken, tmp_path):
  colour = enum.Enum("Colour", ["RED"])
  cases = [
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),
    (np.arange(3), [0, 1, 2]),
    ((1, (2.0, -math.inf)), [1, [2.0, -math.inf]]),
    ({1: None}, {"1": None}),
    ({"number": 5}, {"number": 5}),
    ({"number": "five"}, {"number": "five"}),
    (Path("a/b"), "a/b"),
    (colour.RED, "Colour.RED"),
    ("nan", "nan"),
  ]
  rows = tuple((str(i), value, "") for i, (value, _) in enumerate(cases))
  result = dataclasses.replace(broken, settings=rows)
  read = _round_trip(result, tmp_path / "report.json").settings
  assert [row[1] for row in read] == [expected for _, expected in cases]


def test_fields_of_newer_programs_are_ignored(broken, tmp_path):
  path = tmp_path / "report.json"
  write_json(broken, path)
  report = json.loads(path.read_text())
  for one in (report, report["stages"][0], report["stages"][0]["findings"][0]):
    one["new"] = 1
  report["stages"][0]["blames"][0]["new"] = report["stages"][0]["blames"][0]["diagnoses"][0][
    "x"
  ] = 1
  path.write_text(json.dumps(report))
  assert repr(read_json(path)) == repr(broken)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda r: r | {"version": 2}, "version 2; this program reads 1"),
    (lambda r: r | {"format": "other"}, "no parity report"),
    (lambda r: [r], "no parity report"),
    (lambda r: {k: v for k, v in r.items() if k != "stages"}, "damaged"),
    (lambda r: r | {"stages": [1]}, "damaged"),
    (lambda r: r | {"coverage": []}, "damaged"),
    (lambda r: {k: v for k, v in r.items() if k != "case"}, "damaged"),
    (lambda r: r | {"stages": [r["stages"][0] | {"findings": [{"status": "fine"}]}]}, "damaged"),
  ],
)
def test_what_is_no_report_is_refused_in_one_line(broken, tmp_path, change, message):
  path = tmp_path / "report.json"
  write_json(broken, path)
  path.write_text(json.dumps(change(json.loads(path.read_text()))))
  with pytest.raises(UserError, match=message) as error:
    read_json(path)
  assert str(path) in str(error.value)
  assert "\n" not in str(error.value)


def test_a_number_that_is_none_is_refused(broken, tmp_path):
  path = tmp_path / "report.json"
  write_json(broken, path)
  path.write_text(path.read_text().replace('"error":1e-15', '"error":"small"'))
  with pytest.raises(UserError, match="damaged"):
    read_json(path)


def test_truncated_missing_and_binary_files(broken, tmp_path):
  path = tmp_path / "report.json"
  write_json(broken, path)
  data = path.read_bytes()
  for broken_data in (b"", data[: len(data) // 2], b"\xff\xfe\x00", b"[" * 100_000):
    path.write_bytes(broken_data)
    with pytest.raises(UserError, match="not JSON"):
      read_json(path)
  with pytest.raises(UserError, match="No such file"):
    read_json(tmp_path / "absent.json")


def test_a_write_that_fails_leaves_the_old_report(broken, tmp_path, monkeypatch):
  path = tmp_path / "report.json"
  write_json(broken, path)
  before = path.read_bytes()
  monkeypatch.setattr("os.replace", lambda *names: (_ for _ in ()).throw(OSError(28, "disk full")))
  with pytest.raises(UserError, match="disk full"):
    write_json(dataclasses.replace(broken, seed=99), path)
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
