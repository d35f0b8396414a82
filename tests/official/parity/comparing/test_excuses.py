"""Excuses need a reason, and something to excuse."""

import pytest

from official.cli.errors import UserError
from official.parity.case import Excuse
from official.parity.comparing.excuses import Excuses


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_an_excuse_without_a_reason_is_refused(reason):
  with pytest.raises(UserError, match="excuse 'output/x' has no reason"):
    Excuses([Excuse("output/x", reason)])


def test_an_excuse_without_a_section_is_refused():
  with pytest.raises(UserError, match="names no section"):
    Excuses([Excuse("x", "because")])


def test_the_first_that_matches_either_name():
  excuses = Excuses([Excuse("output/drop{i}", "one"), Excuse("output/{path*}", "two")])
  assert excuses.reason("output", "drop1") == "one"
  assert excuses.reason("output", "candidate", "drop1") == "one"
  assert excuses.reason("output", "a/b") == "two"
  assert excuses.reason("upstream", "drop1") == ""


def test_stale():
  used, unused = Excuse("output/a", "r"), Excuse("output/b", "r")
  excuses = Excuses([used, unused])
  excuses.reason("output", "a")
  assert excuses.stale() == [unused]
