"""What `benchmarks/yolo_speed.py` makes of its measurements, and that both its sides run."""

import numpy as np
import pytest

from benchmarks import yolo_speed, yolo_speed_pytorch


def _results(times):
  return [dict.fromkeys(("wall", "cpu", "memory", "beyond"), time) for time in times]


def test_ratios_are_of_rounds():
  # By round 1/4, 2/3, 8/9; of medians it would be 2/4.
  sides = {"ours": _results([1.0, 2.0, 8.0]), "theirs": _results([4.0, 3.0, 9.0])}
  lines = yolo_speed.table("v7 train", sides)
  assert "medians of 3 rounds" in lines[0]
  assert lines[1].split() == ["s", "ours", "2.00", "PyTorch", "4.00", "ratio", "0.67"]


def test_v7_needs_the_original(capsys):
  yolo_speed.compare(["v7 forward"], checkout="", rounds=1, threads=1)
  assert "v7 forward: left out" in capsys.readouterr().out


@pytest.mark.parametrize("work", ["forward", "train"])
def test_sides_run(work):
  scene = yolo_speed.make_scene(64)
  ours = yolo_speed.make_our_step("v4-csp", work, scene)()
  theirs = yolo_speed_pytorch.make_step("v4-csp", work, scene, 1.0, checkout="")()
  if work == "forward":
    shapes = {level: [1, 64 >> int(level), 64 >> int(level), 3, 85] for level in "345"}
    assert {level: output.shape.as_list() for level, output in ours.items()} == shapes
    assert set(theirs) == set(shapes)
  else:
    assert np.isfinite(float(ours["loss"]))
    assert np.isfinite(float(theirs.detach()))
