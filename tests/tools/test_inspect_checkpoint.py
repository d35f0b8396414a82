"""`inspect_checkpoint` on files whose content is known."""

import json

import numpy as np
import pytest
import torch

from official.cli.errors import UserError
from tools import inspect_checkpoint


@pytest.fixture
def file(tmp_path):
  path = tmp_path / "last.pt"
  model = {"c1.weight": torch.ones(40, 3, 5, 5), "c1.bias": torch.ones(4), "n": torch.tensor(3)}
  trap = {"a\x1b[2J\nb": torch.ones(2), "epoch": 7, "note": "x\x1b[2Jy" + "z" * 300}
  torch.save({"model": model, **trap}, path)
  return path


def test_text(file, capsys):
  inspect_checkpoint.main([str(file)])
  out = capsys.readouterr().out
  assert out.splitlines() == [
    f"{file}: torch zip, 4 arrays, 3,007 numbers",
    "",
    "arrays",
    "  name             shape           dtype    numbers",
    "  model.c1.weight  40 × 3 × 5 × 5  float32  3,000",
    "  model.c1.bias    4               float32  4",
    "  model.n          ()              int64    1",
    "  'a\\x1b[2J\\nb'    2               float32  2",
    "",
    "2 other values (--metadata)",
  ]


def test_filter_and_metadata(file, capsys):
  inspect_checkpoint.main([str(file), "--filter", "*.bias"])
  out = capsys.readouterr().out
  assert "1 arrays, 4 numbers" in out
  assert "weight" not in out
  assert "other values" not in out
  inspect_checkpoint.main([str(file), "--metadata", "--filter", "*o*"])
  lines = capsys.readouterr().out.splitlines()
  assert "  epoch  7" in lines
  note = next(line for line in lines if line.startswith("  note"))
  assert note.isprintable()
  assert len(note) < 250


def test_json(file, capsys):
  inspect_checkpoint.main([str(file), "--json"])
  printed = json.loads(capsys.readouterr().out)
  assert printed["format"] == "torch zip"
  assert printed["file"] == str(file)
  assert printed["numbers"] == 3007
  assert printed["arrays"][0] == {
    "name": "model.c1.weight",
    "shape": [40, 3, 5, 5],
    "dtype": "float32",
  }
  assert printed["metadata"]["epoch"] == 7


def test_json_of_odd_values(tmp_path, capsys):
  path = tmp_path / "a.pt"
  torch.save({"a": np.ones(1), "b": b"raw", "c": {1, 2}, "d": 1j, "e": torch.float16}, path)
  inspect_checkpoint.main([str(path), "--json"])
  metadata = json.loads(capsys.readouterr().out)["metadata"]
  assert metadata == {"b": "b'raw'", "c": "{1, 2}", "d": "1j", "e": "(torch.float16)"}


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["FILE", "--filter", "model.c1.wieght"], "nothing named like 'model.c1.wieght'; did you mean"),
    (["FILE", "--filter", "q*"], r"nothing named like 'q\*' \(6 other names; see --help\)"),
    (["FILE", "--jsn"], "--jsn; did you mean '--json'"),
    (["missing.pt"], "cannot read missing.pt: No such file or directory; check the path"),
    ([], "FILE"),
  ],
)
def test_mistakes_are_one_line(file, arguments, message):
  with pytest.raises(UserError, match=message) as caught:
    inspect_checkpoint.main([str(file) if a == "FILE" else a for a in arguments])
  assert "\n" not in str(caught.value)
