"""Tables on a terminal and elsewhere."""

import sys

from official.cli.table import print_table

ROWS = [("v4-tiny", "6,056,606"), ("csp", "52,921,437")]


def test_plain_text_is_aligned(capsys):
  print_table("variants", ("name", "parameters"), ROWS)
  assert capsys.readouterr().out.splitlines() == [
    "variants",
    "  name     parameters",
    "  v4-tiny  6,056,606",
    "  csp      52,921,437",
  ]


def test_no_rows(capsys):
  print_table("variants", ("name",), [])
  assert capsys.readouterr().out == "variants\n  name\n"


def test_a_terminal_gets_lines_and_every_character(capsys, monkeypatch):
  monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
  monkeypatch.setenv("COLUMNS", "40")
  long = "x" * 60
  print_table("variants", ("name", "parameters"), [*ROWS, ("long", long)])
  out = capsys.readouterr().out
  assert "│" in out
  assert out.count("x") == 60
