"""The HTML report, as a browser's parser sees it."""

import dataclasses
import html.parser
import math
import re

import numpy as np
import pytest

from official.cli.errors import UserError
from official.parity.report import page
from official.parity.report.arrays import BlamedArrays, finding_key
from official.parity.report.page import write_page
from official.parity.report.page_style import SCRIPT, STYLE
from official.parity.result import Blame, Result, Stage, Status

NOT_RUN = ("structure", "gradients", "optimizer", "preprocess", "postprocess")
VOID = {"meta", "img", "input", "br"}


class Parsed(html.parser.HTMLParser):
  """Text by tag, rows of tables, attributes, and whether tags are closed as they were opened."""

  def __init__(self, path):
    super().__init__()
    self.tags, self.text, self.rows, self._open = [], [], [], []
    self.feed(path.read_text())
    self.close()
    assert not self._open

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag not in VOID:
      self._open.append(tag)
    if tag == "tr":
      self.rows.append([])
    if tag in ("td", "th"):
      self.rows[-1].append("")

  def handle_startendtag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))

  def handle_endtag(self, tag):
    assert self._open.pop() == tag

  def handle_data(self, data):
    self.text.append((self._open[-1] if self._open else "", data))
    if self.text[-1][0] in ("td", "th"):
      self.rows[-1][-1] += data

  def having(self, attribute):
    return [a[attribute] for _, a in self.tags if attribute in a]

  def words(self, *tags):
    return [data for tag, data in self.text if tag in tags and data.strip()]


def _check_self_contained(parsed):
  """No script but ours, no address but data of its own, no handlers."""
  assert [tag for tag, _ in parsed.tags].count("script") == 1
  assert parsed.words("script") == [SCRIPT]
  for tag, attributes in parsed.tags:
    assert not any(name.startswith("on") for name in attributes), attributes
    assert "href" not in attributes
    assert attributes.get("src", "data:image/").startswith("data:image/"), tag
  (style,) = parsed.words("style")
  assert "url(" not in style
  assert "@import" not in style


def test_a_run_that_differs(broken, tmp_path):
  path = write_page(broken, tmp_path / "new")
  assert path == tmp_path / "new/index.html"
  parsed = Parsed(path)
  _check_self_contained(parsed)
  assert parsed.words("h1") == ["demo/tiny: is it the same model?"]
  assert parsed.words("h2") == [
    "Settings that differ",
    "Stages",
    "First divergence",
    "Error against depth",
    "Layers",
    "Loss: 0 of 1 fail",
    "Unpaired: 1",
    "Excused: 1",
    "Coverage",
    "Weights",
    "Proved before anything was compared",
    "Environment",
  ]
  taps = "eval output net/c1/bn (Norm)"
  assert parsed.rows == [
    ["setting", "original", "candidate"],
    ["epsilon", "1e-05", "0.001"],
    ["stage", "", "pairs", "worst error", "limit", "where", "seconds"],
    ["forward", "fail", "9", "1.20e-3", "1.00e-9", taps, "1.5"],
    ["loss", "pass", "1", "1.00e-15", "1.00e-9", "train loss total", "0.0"],
    ["trajectory", "skipped", "0", "", "", "no trainer is stated", "0.0"],
    *([name, "not run", *[""] * 5] for name in NOT_RUN),
    ["cause", "what differs", "error before", "after", ""],
    [
      "normalization_epsilon",
      "adds 1e-3, the original 1e-5 (n.py:9)",
      "1.20e-3",
      "300e-18",
      "closes the gap",
    ],
    ["constant_factor", "off by 1.004", "1.20e-3", "400e-6", ""],
    ["section", "candidate", "original", "verdict", "worst error", "limit", "noise", "at", ""],
    ["loss", "total", "total", "same", "1.00e-15", "1.00e-9", "0", "train", ""],
    ["stage", "what", "why"],
    ["forward", "eval output layers.9", "no rule"],
    ["stage", "what", "why"],
    ["forward", "eval output drop", "no dropout here"],
    ["section", "compared", "excused", "unpaired"],
    ["output", "7", "1", "1"],
    ["original", "candidate", "transform", "shape"],
    ["c1.weight", "net/c1/conv/kernel", "oihw_to_hwio", "[3, 3, 1, 4]"],
    [],
    ["The original is deterministic."],
    ["", ""],
    ["original.torch", "2.13"],
    ["batch", "ab12"],
  ]
  coloured = [a["class"] for t, a in parsed.tags if t == "td" and a.get("class") != "number" and a]
  assert coloured[:8] == ["different", "same", *["excused"] * 6]  # Stages.
  assert coloured[8:] == ["same", "excused", "same"]  # Diagnoses, and the loss.
  assert parsed.words("summary") == ["1 transfers"]
  assert parsed.words("p")[-4:-1] == [
    "net/c1/bn at norm.py:12",
    f"Given away by forward, {taps}: error 1.20e-3, limit 1.00e-9, teacher-forced 1.20e-3.",
    "May be to blame too: net/extra.",
  ]
  banner = next(a for _, a in parsed.tags if "banner" in a.get("class", ""))
  assert banner["class"] == "banner different"
  assert "NOT THE SAME" in parsed.words("b")


def test_a_clean_run(clean, tmp_path):
  parsed = Parsed(write_page(clean, tmp_path))
  assert "First divergence" not in parsed.words("h2")
  assert "SAME" in parsed.words("b")
  assert any(a.get("class") == "banner same" for _, a in parsed.tags)
  assert not [a for t, a in parsed.tags if t == "details" and "open" in a]


def test_the_tree_is_open_where_something_differs(broken, tmp_path):
  parsed = Parsed(write_page(broken, tmp_path))
  branches = {a["data-path"]: "open" in a for t, a in parsed.tags if t == "details" and a}
  branches = {path: is_open for path, is_open in branches.items() if path}
  assert branches == {
    "(model)": True,
    "net": True,
    "net/c1": True,
    "net/c2": False,
    "aux": False,
  }
  shades = [a["class"] for t, a in parsed.tags if t == "span" and "title" in a]
  assert shades == ["inherited", "same", "different", "inherited", "inherited", *["same"] * 2] + [
    "excused"
  ]
  blamed, *_, excused = (t for t in parsed.having("title") if "bn" in t or "drop" in t)
  assert blamed == (
    "net/c1/bn ↔ net.c1.bn: different, error 1.20e-3, limit 1.00e-9, teacher-forced 1.20e-3"
  )
  assert excused == "drop ↔ p: excused, error nan, limit 1.00e-9: no dropout here"
  cells = [word for word in parsed.words("span") if "limit" not in word]
  assert cells[cells.index("eval") + 1 :] == [
    "1.20e-3 (0)",
    "1.00e-15",
    "1.20e-3 (1.20e-3)",
    "1.20e-3 (0)",
    "1.20e-3 (0)",
    "1.00e-15",
    "2.00e-15",
    "excused",
  ]


def test_dots_name_taps_and_the_noise_floor_is_drawn(broken, finding, tmp_path):
  taps = [
    finding("a", 0, error=2e-5, noise=1e-5, limit=4e-5, forced_error=3e-5, layer="Conv"),
    finding("b", 1, error=math.inf, noise=2e-5, limit=8e-5),
    finding("a", 0, section="upstream", phase="train"),
    finding("x", 2, Status.EXCUSED, 0.5),
  ]
  result = dataclasses.replace(broken, stages=(Stage("forward", taps),))
  text = write_page(result, tmp_path).read_text()
  charts = re.findall(r'<figure class="chart">.*?</figure>', text, re.S)
  assert len(charts) == 2
  assert re.findall(r"<title>(.*?)</title>", charts[0]) == [
    "a (Conv): 20.0e-6",
    "b: inf",
    "a (Conv): 30.0e-6",
  ]
  keys = re.findall(r'<span class="key (\w+)">(.*?)</span>', charts[0])
  assert keys == [
    ("limit", "limit"),
    ("noise", "noise floor"),
    ("end", "end to end"),
    ("forced", "fed the original&#x27;s values"),
  ]
  assert re.findall(r'<polyline class="(\w+)"', charts[0]) == ["limit", "noise"]
  assert re.findall(r'<polyline class="(\w+)"', charts[1]) == ["limit"]
  assert "Backward" in charts[1]


def test_the_worst_of_each_step_is_charted(broken, finding, tmp_path):
  def after(step, name, error, section="parameter"):
    return finding(name, phase=f"step{step}", section=section, error=error)

  findings = [after(10, "a", 1e-12), after(2, "a", 1e-14), after(2, "b", 1e-13)]
  findings += [after(2, "a|m", 3e-13, "slot")]
  result = dataclasses.replace(broken, stages=(Stage("trajectory", findings),))
  path = write_page(result, tmp_path)
  parsed = Parsed(path)
  dots = re.findall(r"<circle[^>]*><title>(.*?)</title>", path.read_text())
  assert dots == [
    "step 2: parameter b: 100e-15",
    "step 10: parameter a: 1.00e-12",
    "step 2: slot a|m: 300e-15",
  ]
  assert re.findall('<(polyline|g) class="(.*?)"', path.read_text()) == [
    ("polyline", "s0 dashes"),
    ("g", "s0"),
    ("polyline", "s1 dashes"),
    ("g", "s1"),
  ]
  assert re.findall('class="key (.*?)">(.*?)<', path.read_text()) == [
    ("s0", "parameter"),
    ("s1", "slot"),
  ]
  assert parsed.words("h2")[2:4] == ["Training steps", "Trajectory: 0 of 3 fail"]
  assert ["parameter", "a", "a", "same", "1.00e-12", "1.00e-9", "0", "step10", ""] in parsed.rows


def test_pictures_stand_with_their_blame(broken, tmp_path):
  finding = broken.stages[0].blames[0].finding
  reference = np.random.default_rng(0).normal(size=(1, 8, 8, 4))
  mine = BlamedArrays(finding_key(finding), reference, 1.01 * reference)
  stray = BlamedArrays("eval/output/aux/a", reference, reference)
  parsed = Parsed(write_page(broken, tmp_path, [mine, stray]))
  _check_self_contained(parsed)
  assert len(parsed.having("src")) == 3
  assert any("largest difference" in word for word in parsed.words("span"))


def test_of_many_that_may_be_to_blame_the_first_are_named(broken, tmp_path):
  forward = broken.stages[0]
  for count, end in ((20, "r19."), (22, "r19 and 2 more.")):
    blame = dataclasses.replace(forward.blames[0], region=[f"r{i}" for i in range(count)])
    stage = dataclasses.replace(forward, blames=[blame])
    parsed = Parsed(write_page(dataclasses.replace(broken, stages=[stage]), tmp_path))
    (text,) = [word for word in parsed.words("p") if word.startswith("May be to blame too: r0, r1")]
    assert text.endswith(end)


def test_only_the_first_blames_are_drawn(broken, finding, tmp_path):
  wrong = [finding(f"w{i}", i, Status.DIFFERENT, 1.0) for i in range(20)]
  arrays = [BlamedArrays(finding_key(f), np.zeros((2, 2)), np.ones((2, 2))) for f in wrong]
  stage = Stage("forward", wrong, [Blame(f, f.name) for f in wrong])
  result = dataclasses.replace(broken, stages=(stage,))
  parsed = Parsed(write_page(result, tmp_path, arrays))
  assert len(parsed.having("src")) == 3 * page._PICTURED
  assert parsed.words("h2")[2:5] == ["First divergence", "Other divergences", "Error against depth"]
  summaries = parsed.words("summary")
  assert [s for s in summaries if s.startswith("forward: ")] == [
    f"forward: w{i}" for i in range(1, 20)
  ]
  assert "No known mistake was found to explain it." in parsed.words("p")


def test_long_tables_fold_and_failures_come_first(broken, finding, tmp_path):
  kernels = [finding(f"k{i}", i, section="gradient") for i in range(25)]
  result = dataclasses.replace(broken, stages=(Stage("gradients", kernels),), weights=())
  assert not Parsed(write_page(result, tmp_path)).words("summary")
  kernels = [finding(f"k{i}", i, section="gradient") for i in range(100)]
  stage = Stage("gradients", kernels)
  parsed = Parsed(write_page(dataclasses.replace(broken, stages=(stage,)), tmp_path))
  assert "100 rows" in parsed.words("summary")
  kernels[70] = finding("k70", 70, Status.DIFFERENT, 1.0, section="gradient")
  parsed = Parsed(write_page(dataclasses.replace(broken, stages=(stage,)), tmp_path))
  assert "Gradients: 1 of 100 fail" in parsed.words("h2")
  assert "75 more" in parsed.words("summary")
  names = [word for word in parsed.words("td") if re.fullmatch(r"k\d+", word)]
  assert names[0] == "k70"
  assert len(set(names)) == 100


def test_names_cannot_become_markup(random_result, tmp_path):
  for seed in range(60):
    result = random_result(seed)
    parsed = Parsed(write_page(result, tmp_path))
    _check_self_contained(parsed)
    assert not [a for _, a in parsed.tags if "example.com" in a.get("src", "")]


def test_random_arrays_of_random_results(random_result, tmp_path):
  array = np.array([[math.nan, 1.0], [math.inf, -1.0]])
  for seed in range(20):
    result = random_result(seed)
    findings = [f for stage in result.stages for f in stage.findings]
    arrays = [BlamedArrays(finding_key(f), array, array.T) for f in findings]
    _check_self_contained(Parsed(write_page(result, tmp_path, arrays)))


@pytest.mark.parametrize("stages", [(), (Stage("forward"),), (Stage("loss", skipped="no losses"),)])
def test_nothing_to_tell(stages, tmp_path):
  parsed = Parsed(write_page(Result("a", "float64", 0, stages), tmp_path))
  assert parsed.words("h2") == ["Stages"]
  assert "a, float64, seed 0; nothing was compared".partition(", ")[0] in parsed.words("p")[0]


def test_a_large_run_stays_small(finding, tmp_path):
  """As large as v4-csp: 600 taps in three phases, 500 parameters over ten steps."""
  taps = [
    finding(f"backbone/stage{i // 60}/block{i // 4}/layer{i}", i, phase=phase, section=section)
    for i in range(600)
    for phase, section in (("eval", "output"), ("train", "output"), ("train", "upstream"))
  ]
  steps = [
    finding(f"backbone/stage/block{i}/conv/kernel", i, phase=f"step{step}", section=section)
    for i in range(500)
    for step in range(1, 11)
    for section in ("parameter", "slot", "average")
  ]
  stages = (Stage("forward", taps), Stage("trajectory", steps))
  path = write_page(Result("a", "float64", 0, stages), tmp_path)
  assert path.stat().st_size < 2_000_000


def test_both_colour_schemes_have_every_colour():
  light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.S)
  names = re.findall(r"(--[\w-]+):", light)
  assert names == re.findall(r"(--[\w-]+):", dark)
  common = {"--plate", "--ink", "--line", "--faint", "--columns"}
  assert set(re.findall(r"var\((--[\w-]+)\)", STYLE)) <= common | set(names)


def test_a_write_that_fails_is_told_in_one_line(broken, tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="cannot make the directory"):
    write_page(broken, tmp_path / "file/out")
