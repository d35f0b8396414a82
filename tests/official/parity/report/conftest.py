"""Results made by hand, and random ones with names and numbers that are hard to write down."""

import dataclasses
import math
import random

import pytest

from official.parity.case import STAGES
from official.parity.result import Blame, Diagnosis, Finding, Result, Stage, Status

NASTY = (
  "</script><script>alert(1)</script>",
  '"><img src="http://example.com/x.png" onerror=alert(1)>',
  "it's & <b>",
  "größe/層/→",
  "line\nbreak\x1b[31m",
  "lone \ud800",
  "{braces}/a#1:logits",
  "(model)",
  "(model):0",
  ":",
  "",
  "a//b/",
)
NUMBERS = (0.0, 5e-324, 1e-15, 1e-9, 1.0, 1.7e308, math.inf, math.nan)


def make_finding(name, order=0, status=Status.SAME, error=1e-15, **fields):
  """A finding of a tap in inference, unless `fields` say otherwise."""
  known = {
    "stage": "forward",
    "section": "output",
    "phase": "eval",
    "reference": name.replace("/", "."),
    "layer": "",
    "noise": 0.0,
    "limit": 1e-9,
  }
  return Finding(name=name, order=order, status=status, error=error, **(known | fields))


@pytest.fixture
def finding():
  return make_finding


@pytest.fixture
def broken():
  """An epsilon is wrong in one normalization; everything after it inherits the difference."""
  wrong = {"error": 1.2e-3, "status": Status.DIFFERENT}
  inherited = {"forced_error": 0.0, "forced_status": Status.SAME}
  blamed = make_finding(
    "net/c1/bn", 1, layer="Norm", forced_error=1.2e-3, forced_status=Status.DIFFERENT, **wrong
  )
  taps = [
    make_finding("net/c1/conv", 0, layer="Conv"),
    blamed,
    make_finding("net/c1", 2, layer="Block", **wrong, **inherited),
    make_finding("net/c2/conv", 3, layer="Conv", **wrong, **inherited),
    make_finding("net/c2", 4, layer="Block", **wrong, **inherited),
    make_finding("aux/a", 5),
    make_finding("aux/b", 6, error=2e-15),
    make_finding("drop", 7, Status.EXCUSED, math.nan, reference="p", reason="no dropout here"),
    make_finding("layers.9", 8, Status.UNPAIRED, math.inf, reason="no rule"),
  ]
  sentence = "adds 1e-3, the original 1e-5"
  cause = Diagnosis("normalization_epsilon", sentence, 1.2e-3, 3e-16, True, "n.py:9")
  other = Diagnosis("constant_factor", "off by 1.004", 1.2e-3, 4e-4, False)
  blame = Blame(blamed, "net/c1/bn", ("net/extra",), "norm.py:12", (cause, other))
  loss = make_finding("total", stage="loss", section="loss", phase="train", reference="total")
  return Result(
    case="demo/tiny",
    precision="float64",
    seed=3,
    stages=(
      Stage("forward", tuple(taps), (blame,), seconds=1.5),
      Stage("loss", (loss,)),
      Stage("trajectory", skipped="no trainer is stated"),
    ),
    settings=(("epsilon", 1e-5, 1e-3),),
    environment={"original": {"torch": "2.13"}, "batch": "ab12"},
    determinism=("The original is deterministic.",),
    weights=(("c1.weight", "net/c1/conv/kernel", "oihw_to_hwio", "[3, 3, 1, 4]"),),
    coverage={"output": (7, 1, 1)},
  )


@pytest.fixture
def clean(broken):
  """The same run with nothing wrong."""
  forward, loss, skipped = broken.stages
  taps = tuple(
    dataclasses.replace(f, status=Status.SAME, error=1e-15, forced_error=None, forced_status=None)
    for f in forward.findings
    if f.status.passes or f.status is Status.DIFFERENT
  )
  return dataclasses.replace(broken, stages=(Stage("forward", taps), loss, skipped), settings=())


@pytest.fixture
def random_result():
  return _random_result


def _random_result(seed):
  """Any result at all, also ones that no run makes."""
  draw = random.Random(seed)
  return Result(
    case=draw.choice(NASTY),
    precision="float32",
    seed=seed,
    stages=tuple(_random_stage(draw) for _ in range(draw.randrange(5))),
    settings=tuple((draw.choice(NASTY), draw.choice(NUMBERS), None) for _ in range(2)),
    environment={draw.choice(NASTY): {draw.choice(NASTY): draw.choice(NUMBERS)}},
    determinism=(draw.choice(NASTY),),
    weights=tuple(tuple(draw.choices(NASTY, k=4)) for _ in range(draw.randrange(3))),
    coverage={draw.choice(NASTY): (1, 2, 3)},
  )


def _random_stage(draw):
  name = draw.choice(STAGES)
  if draw.random() < 0.2:
    return Stage(name, skipped=draw.choice(NASTY[:4]))
  findings = tuple(_random_finding(draw, name) for _ in range(draw.randrange(12)))
  blamed = draw.sample(findings, min(len(findings), draw.randrange(3)))
  return Stage(name, findings, tuple(_random_blame(draw, f) for f in blamed), "", draw.random())


def _random_finding(draw, stage):
  number = lambda: draw.choice(NUMBERS)
  forced = draw.random() < 0.5
  return Finding(
    stage=stage,
    section=draw.choice(("output", "upstream", "gradient", "slot", "loss", "array")),
    phase=draw.choice(("eval", "train", "step1", "step2")),
    name=draw.choice(NASTY),
    reference=draw.choice(NASTY),
    order=draw.randrange(5),
    layer=draw.choice(NASTY),
    status=draw.choice(list(Status)),
    error=number(),
    noise=number(),
    limit=number(),
    forced_error=number() if forced else None,
    forced_status=draw.choice(list(Status)) if forced else None,
    reason=draw.choice(NASTY),
  )


def _random_blame(draw, finding):
  tried = tuple(
    Diagnosis("padding", draw.choice(NASTY), draw.choice(NUMBERS), draw.choice(NUMBERS), False)
    for _ in range(draw.randrange(3))
  )
  return Blame(finding, draw.choice(NASTY), tuple(draw.choices(NASTY, k=2)), "", tried)
