"""Sides that are measured call by call, in turn."""

import sys

import pytest

from benchmarks import steps

_SIDE = """
import sys, time
from benchmarks.steps import measure_on_request
print("what an original says of itself", flush=True)
def step():
  with open(sys.argv[1], "a") as log:
    log.write(sys.argv[2])
measure_on_request(step, imports=0.0)
"""


def test_sides_take_turns(tmp_path):
  log = tmp_path / "log"
  commands = {side: [sys.executable, "-c", _SIDE, str(log), side] for side in ("a", "b")}
  results = steps.in_turn(commands, warm_up=1, count=2)
  assert log.read_text() == "ababab"
  assert {side: len(found) for side, found in results.items()} == {"a": 2, "b": 2}
  for found in results["a"]:
    assert found["wall"] > 0
    assert found["memory"] == found["beyond"] > 0


def test_side_that_fails():
  failing = [sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(3)"]
  with pytest.raises(RuntimeError, match="ended with code 3"):
    steps.in_turn({"failing": failing}, warm_up=0, count=1)
