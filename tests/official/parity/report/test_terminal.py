"""The report on the terminal."""

import dataclasses
import math
import sys
from pathlib import Path

from official.parity.report.terminal import headline, print_result
from official.parity.result import Result, Stage, Status

BROKEN = """\
NOT THE SAME: demo/tiny, float64, seed 3; 5 of 10 pairs fail
first divergence: forward, eval output net/c1/bn (Norm): error 1.20e-3, limit 1.00e-9, \
teacher-forced 1.20e-3; blame net/c1/bn at norm.py:12
cause: normalization_epsilon: adds 1e-3, the original 1e-5 (n.py:9); error 1.20e-3 → 300e-18
settings that differ
  name     original  candidate
  epsilon  1e-05     0.001
stages
  stage                 pairs  worst     limit    where
  forward      fail     9      1.20e-3   1.00e-9  eval output net/c1/bn (Norm)
  loss         pass     1      1.00e-15  1.00e-9  train loss total
  trajectory   skipped  0                         no trainer is stated
  structure    not run
  gradients    not run
  optimizer    not run
  preprocess   not run
  postprocess  not run
taps
  (model): different
    net: different
      c1 Block: different, eval 1.20e-3 (forced 0)
        conv Conv: same, eval 1.00e-15
        bn Norm: different, eval 1.20e-3 (forced 1.20e-3)
      c2 Block: inherited, 2 pairs, worst 1.20e-3
    aux: same, 2 pairs, worst 2.00e-15
    drop: excused, eval excused
unpaired: 1
  eval output layers.9: no rule
excused: 1
  eval output drop: no dropout here
coverage
  section  compared  excused  unpaired
  output   7         1        1
report: out/index.html
"""

CLEAN = """\
SAME: demo/tiny, float64, seed 3; 9 pairs, worst error 1.00e-15 of 1.00e-9
stages
  stage                 pairs  worst     limit    where
  forward      pass     8      1.00e-15  1.00e-9  eval output net/c1/conv (Conv)
  loss         pass     1      1.00e-15  1.00e-9  train loss total
  trajectory   skipped  0                         no trainer is stated
  structure    not run
  gradients    not run
  optimizer    not run
  preprocess   not run
  postprocess  not run
taps
  (model): same, 8 pairs, worst 1.00e-15
coverage
  section  compared  excused  unpaired
  output   7         1        1
"""


def test_a_run_that_differs(broken, capsys):
  print_result(broken, page=Path("out/index.html"))
  assert capsys.readouterr().out == BROKEN


def test_a_clean_run_is_short(clean, capsys):
  print_result(clean)
  assert capsys.readouterr().out == CLEAN


def test_full_opens_every_branch(clean, broken, capsys):
  print_result(clean, full=True)
  lines = capsys.readouterr().out.splitlines()
  assert "        conv Conv: same, eval 1.00e-15" in lines
  assert "      a: same, eval 1.00e-15" in lines
  print_result(broken, full=True)
  assert "        conv Conv: inherited, eval 1.20e-3 (forced 0)" in capsys.readouterr().out


def test_long_lists_are_cut_unless_all_is_asked_for(finding, capsys):
  taps = [_unpaired(finding, f"t{i}") for i in range(60)]
  result = Result("a", "float64", 0, (Stage("forward", taps),))
  print_result(result)
  lines = capsys.readouterr().out.splitlines()
  assert lines.count("  … 21 more (--full shows all)") == 1  # 60 taps below the root.
  assert lines.count("  … 20 more (--full shows all)") == 1
  print_result(result, full=True)
  text = capsys.readouterr().out
  assert "more" not in text
  assert "    t59: unpaired" in text
  assert "  eval output t59" in text.splitlines()


def test_excuses_are_told_by_reason(finding, capsys):
  excused = [
    finding(f"d{i}", i, Status.EXCUSED, 0.0, reason="dropout" if i % 2 else "identity")
    for i in range(9)
  ]
  result = Result("a", "float64", 0, (Stage("forward", excused),))
  print_result(result)
  lines = capsys.readouterr().out.splitlines()
  assert lines[lines.index("excused: 9") + 1 :] == [
    "  eval output d0 and 4 more: identity",
    "  eval output d1 and 3 more: dropout",
  ]
  print_result(result, full=True)
  lines = capsys.readouterr().out.splitlines()
  assert lines[lines.index("excused: 9") + 1 :][:2] == [
    "  eval output d0: identity",
    "  eval output d1: dropout",
  ]
  assert lines[-1] == "  eval output d8: identity"


def test_a_terminal_gets_colours_and_the_same_words(broken, capsys, monkeypatch):
  monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
  monkeypatch.setenv("COLUMNS", "40")
  monkeypatch.setenv("FORCE_COLOR", "1")
  monkeypatch.setenv("TERM", "xterm-256color")
  monkeypatch.delenv("NO_COLOR", raising=False)
  print_result(broken)
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith("\x1b[1;31mNOT THE SAME: ")
  assert "        bn Norm: \x1b[1;31mdifferent\x1b[0m, eval 1.20e-3 (forced 1.20e-3)" in lines
  assert "      c2 Block: \x1b[33minherited\x1b[0m, 2 pairs, worst 1.20e-3" in lines


def test_any_result_prints(random_result, capsys):
  for seed in range(60):
    result = random_result(seed)
    print_result(result, full=bool(seed % 2))
    out = capsys.readouterr().out
    assert out.startswith(headline(result)[0] + "\n")
    assert out.replace("\n", "").isprintable()


def test_markup_in_names_is_text(finding, broken, capsys, monkeypatch):
  monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
  stage = Stage("forward", (_unpaired(finding, "[red]x", "[/]"),))
  print_result(dataclasses.replace(broken, case="[bold]", stages=(stage,), settings=()))
  out = capsys.readouterr().out
  assert "[bold]" in out
  assert "\n    [red]x: " in out
  assert "[red]x: [/]" in out


def _unpaired(finding, name, reason=""):
  return finding(name, 0, Status.UNPAIRED, math.inf, reference="", reason=reason)
