"""Charts: where points stand, and what they are called."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest

from official.parity.report.chart import Series, log_chart


def _parse(text):
  root = ET.fromstring(text)
  circles = root.iter("circle")
  dots = {c.find("title").text: (float(c.get("cx")), float(c.get("cy"))) for c in circles}
  return root, dots


def _ticks(root):
  return {t.text: (float(t.get("x")), float(t.get("y"))) for t in root.iter("text")}


def test_the_axis_is_logarithmic_and_points_stand_at_their_ticks():
  points = [(0, 1e-12, "a"), (5, 1e-9, "b"), (10, 1e-3, "c")]
  root, dots = _parse(log_chart("errors", "depth", [Series("end", "end", points)]))
  ticks = _ticks(root)
  assert dots["a"][1] - dots["b"][1] == pytest.approx((dots["b"][1] - dots["c"][1]) / 2, abs=0.2)
  assert dots["b"][0] == pytest.approx((dots["a"][0] + dots["c"][0]) / 2, abs=0.2)
  assert dots["a"][1] == pytest.approx(ticks["1e-12"][1] - 4, abs=0.2)
  assert dots["c"][0] == pytest.approx(ticks["10"][0], abs=0.2)
  assert "depth" in ticks


def test_zero_is_below_and_infinity_above_everything():
  values = {"zero": 0.0, "small": 1e-20, "large": 1e20, "inf": math.inf, "nan": math.nan}
  points = [(0.5 + i / 8, y, name) for i, (name, y) in enumerate(values.items())]
  root, dots = _parse(log_chart("t", "x", [Series("s", "end", points)]))
  heights = [dots[name][1] for name in values]
  assert heights[0] > heights[1] + 10 > heights[2] > heights[3] + 10
  assert heights[3] == heights[4]
  assert {"0", "inf"} <= set(_ticks(root))
  root, _ = _parse(log_chart("t", "x", [Series("s", "end", points[1:3])]))
  assert not {"0", "inf"} & set(_ticks(root))


@pytest.mark.parametrize(
  "ys", [[0.0], [math.inf], [math.nan], [5e-324], [1.7e308, 5e-324], [1.0, 1.0], [1e-9]]
)
def test_any_values_are_drawn_inside(ys):
  points = [(i, y, str(i)) for i, y in enumerate(ys)]
  root, dots = _parse(log_chart("t", "x", [Series("s", "end", points)]))
  assert len(dots) == len(ys)
  assert all(0 <= x <= 960 and 0 <= y <= 300 for x, y in dots.values())
  assert len(_ticks(root)) < 20


def test_ticks_are_few_and_round():
  for length in (4, 10, 11, 77, 600, 12_345):
    points = [(x, 10.0 ** (-x * 20 / length), "") for x in range(length)]
    root, _ = _parse(log_chart("t", "x", [Series("s", "end", points, line=True)]))
    names = list(_ticks(root))
    down = [name for name in names if name.startswith("1e")]
    across = [float(name) for name in names if not name.startswith("1e") and name != "x"]
    assert 4 <= len(down) <= 8
    assert len(across) in range(3, 9)
    assert len({round(b - a, 9) for a, b in itertools.pairwise(across)}) == 1
    step = across[1] - across[0]
    assert f"{step:.0e}"[0] in "125"
    assert step == int(step)


def test_lines_are_joined_and_names_are_escaped():
  line = Series("<limit>", "limit", [(0, 1e-9, ""), (1, 1e-9, "")], line=True)
  dots = Series("s", "end", [(0, 1.0, '<i>"&')])
  text = log_chart("<t>", "<x>", [line, dots])
  root, found = _parse(text)
  assert list(found) == ['<i>"&']
  (polyline,) = root.iter("polyline")
  assert len(polyline.get("points").split()) == 2
  assert not re.search("<(i|t|x|limit)>", text)


def test_nothing_to_draw():
  assert log_chart("t", "x", []) == ""
  assert log_chart("t", "x", [Series("s", "end", [])]) == ""
