"""What reports say: colours, the headline, numbers in engineering notation."""

import dataclasses
import math
import random

import pytest

from official.parity.report import digest
from official.parity.report.digest import Shade, engineering
from official.parity.result import Blame, Result, Stage, Status


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (0.0, "0"),
    (1.0, "1.00"),
    (-0.0123, "-12.3e-3"),
    (1.234e-9, "1.23e-9"),
    (9.999e-10, "1.00e-9"),
    (99.96, "100"),
    (999.9, "1.00e3"),
    (4.5e7, "45.0e6"),
    (math.inf, "inf"),
    (-math.inf, "-inf"),
    (math.nan, "nan"),
  ],
)
def test_engineering_notation(value, text):
  assert engineering(value) == text


def test_engineering_notation_reads_back():
  draw = random.Random(0)
  for _ in range(2000):
    value = draw.choice((1, -1)) * 10 ** draw.uniform(-320, 300)
    text = engineering(value)
    mantissa, _, exponent = text.partition("e")
    assert float(text) == pytest.approx(value, rel=0.0051 if abs(value) > 1e-300 else 0.5)
    assert int(exponent or 0) % 3 == 0
    assert 1 <= abs(float(mantissa)) < 1000
    assert sum(map(str.isdigit, mantissa)) == 3


@pytest.mark.parametrize(
  ("status", "forced", "expected"),
  [
    (Status.SAME, None, Shade.SAME),
    (Status.SAME, Status.DIFFERENT, Shade.SAME),
    (Status.DIFFERENT, None, Shade.DIFFERENT),
    (Status.DIFFERENT, Status.DIFFERENT, Shade.DIFFERENT),
    (Status.DIFFERENT, Status.SAME, Shade.INHERITED),
    (Status.DIFFERENT, Status.NEAR_TIE, Shade.INHERITED),
    (Status.NEAR_TIE, None, Shade.NEAR_TIE),
    (Status.EXCUSED, None, Shade.EXCUSED),
    (Status.UNPAIRED, None, Shade.UNPAIRED),
  ],
)
def test_a_difference_that_a_layer_is_fed_is_inherited(finding, status, forced, expected):
  assert digest.shade(finding("a", status=status, forced_status=forced)) is expected


def test_the_worst_is_nearest_to_its_own_limit(finding):
  near, far = finding("near", error=5e-4, limit=1e-3), finding("far", error=6e-4, limit=1e-2)
  excused = finding("excused", status=Status.EXCUSED, error=math.inf)
  unpaired = finding("unpaired", status=Status.UNPAIRED, error=math.inf)
  assert digest.worst([far, near, excused, unpaired]) is near
  assert digest.worst([near, finding("nan", error=math.nan)]).name == "nan"
  assert digest.worst([finding("no limit", error=1e-20, limit=0), near]).name == "no limit"
  assert digest.worst([finding("zero", error=0, limit=0), near]) is near
  assert digest.worst([excused, unpaired]) is None
  fails = finding("fails", status=Status.DIFFERENT, error=2e-9)
  passes_larger = finding("passes", error=1e-9, limit=1e-10)
  assert digest.worst([passes_larger, fails]) is fails


def test_headline_of_a_run_that_found_a_cause(broken):
  assert digest.headline(broken) == [
    "NOT THE SAME: demo/tiny, float64, seed 3; 5 of 10 pairs fail",
    "first divergence: forward, eval output net/c1/bn (Norm): error 1.20e-3, limit 1.00e-9, "
    "teacher-forced 1.20e-3; blame net/c1/bn at norm.py:12",
    "cause: normalization_epsilon: adds 1e-3, the original 1e-5 (n.py:9); error 1.20e-3 → 300e-18",
  ]


def test_lines_of_code_are_told_once_and_as_seen_from_here(broken, monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  blame, cause = broken.stages[0].blames[0], broken.stages[0].blames[0].diagnoses[0]
  line = f"{tmp_path}/net/norm.py:12"
  blame = dataclasses.replace(blame, line=line)
  assert digest.culprit(blame) == "net/c1/bn at net/norm.py:12"
  assert digest.culprit(dataclasses.replace(blame, line="/else/n.py:1")).endswith("at /else/n.py:1")
  assert digest.culprit(dataclasses.replace(blame, line="")) == "net/c1/bn"
  same = dataclasses.replace(cause, line=line)
  assert digest.explanation(same, blame) == "adds 1e-3, the original 1e-5"
  other = dataclasses.replace(cause, line=f"{tmp_path}/a.py:1")
  assert digest.explanation(other, blame) == "adds 1e-3, the original 1e-5 (a.py:1)"


def test_headline_of_a_clean_run(clean):
  assert digest.headline(clean) == [
    "SAME: demo/tiny, float64, seed 3; 9 pairs, worst error 1.00e-15 of 1.00e-9"
  ]


def test_headline_does_not_promise_a_cause_that_does_not_close_the_gap(broken):
  forward = broken.stages[0]
  blame = dataclasses.replace(forward.blames[0], diagnoses=forward.blames[0].diagnoses[1:])
  stage = dataclasses.replace(forward, blames=(blame,))
  last = digest.headline(dataclasses.replace(broken, stages=(stage,)))[-1]
  assert last == "cause: not found; nearest constant_factor: off by 1.004; error 1.20e-3 → 400e-6"
  bare = dataclasses.replace(forward, blames=(Blame(blame.finding, "net/c1/bn"),))
  assert digest.headline(dataclasses.replace(broken, stages=(bare,)))[-1] == "cause: not found"


def test_headline_without_a_blame_tells_the_first_failure(finding):
  findings = (
    finding("later", 2, Status.DIFFERENT, 1.0, noise=1e-7),
    finding("first", 1, Status.UNPAIRED, math.inf, reason="no rule"),
  )
  result = Result("a", "float32", 0, (Stage("structure"), Stage("forward", findings)))
  assert digest.headline(result)[1:] == [
    "first divergence: forward, eval output first: error inf, limit 1.00e-9 (no rule)"
  ]
  result = Result("a", "float32", 0, (Stage("forward", findings[:1]),))
  assert "limit 1.00e-9, noise floor 100e-9" in digest.headline(result)[1]


@pytest.mark.parametrize(
  "stages", [(), (Stage("forward"),), (Stage("forward", skipped="no original"),)]
)
def test_a_run_that_compared_nothing_is_not_the_same(stages):
  result = Result("a", "float64", 0, stages)
  assert digest.headline(result) == ["NOT THE SAME: a, float64, seed 0; nothing was compared"]


def test_excuses_alone_prove_nothing(finding):
  stage = Stage("forward", (finding("a", status=Status.EXCUSED, reason="none"),))
  assert not Result("a", "float64", 0, (stage,)).same


def test_what_passes_over_its_limit_is_told(clean, finding):
  over = finding("a", error=3e-9, reason="amplified")
  unknown = finding("nan", error=math.nan)
  assert [f.name for f in digest.lenient([over, finding("b", error=1e-9), unknown])] == ["a", "nan"]
  result = dataclasses.replace(clean, stages=(Stage("forward", (over, finding("b"))),))
  assert digest.headline(result) == [
    "SAME: demo/tiny, float64, seed 3; 2 pairs, worst error 3.00e-9 of 1.00e-9, 1 passed over its"
    " limit"
  ]
  tie = finding("t", status=Status.NEAR_TIE, error=1.0)
  wrong = finding("w", status=Status.DIFFERENT, error=1.0)
  alone = finding("u", status=Status.UNPAIRED, error=math.inf)
  excused = finding("e", status=Status.EXCUSED, error=math.inf)
  assert digest.remarkable([over, finding("b"), tie, wrong, alone, excused]) == {
    "unpaired": [alone],
    "excused": [excused],
    "near tie": [tie],
    "passed over the limit": [over],
  }


def test_outcomes(finding):
  assert digest.outcome(Stage("forward", skipped="why")) == "skipped"
  assert digest.outcome(Stage("forward")) == "nothing compared"
  assert digest.outcome(Stage("forward", (finding("a"),))) == "pass"
  assert digest.outcome(Stage("forward", (finding("a", status=Status.UNPAIRED),))) == "fail"


def test_names_cannot_write_to_the_terminal():
  assert digest.printable("a\x1b[31m\n层\ud800") == r"a\x1b[31m\n层\ud800"


def test_random_headlines_are_single_lines(random_result):
  for seed in range(50):
    lines = digest.headline(random_result(seed))
    assert all(line.isprintable() for line in lines)
    assert len(lines) <= 3
