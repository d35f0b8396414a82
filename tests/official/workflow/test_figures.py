"""Figures of reports: an exit code is not believed alone."""

import json
import subprocess
import sys

import pytest

from official.workflow import figures

TESTS = """
import pytest

def test_good(): pass

@pytest.mark.skip(reason="no data")
def test_skipped(): pass

@pytest.mark.xfail
def test_expected(): assert False
"""
BAD = """
import pytest

def test_bad(): assert False

@pytest.fixture
def broken(): raise OSError

def test_error(broken): pass
"""


def junit(tmp_path, text):
  (tmp_path / "test_x.py").write_text(text)
  command = [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "--junitxml=junit.xml"]
  subprocess.run(command, cwd=tmp_path, capture_output=True)
  return figures.read("junit.xml", (tmp_path / "junit.xml").read_bytes())


def test_outcomes_of_pytest(tmp_path):
  found = junit(tmp_path, TESTS)
  assert (found.values, found.wrong) == ({"passed": 1, "skipped": 2, "failed": 0}, "")
  name, data = found.kept
  assert (name, json.loads(data)["test_x::test_good"]) == ("tests.json", "passed")


def test_failures_of_pytest(tmp_path):
  found = junit(tmp_path, TESTS + BAD)
  assert found.values["failed"] == 2
  assert found.wrong.startswith("failed: test_x::test_")


@pytest.mark.parametrize(
  ("report", "values", "wrong"),
  [
    ({"same": True, "stages": [{"findings": [1, 2]}, {"findings": [3]}]}, {"pairs": 3}, ""),
    ({"same": False, "stages": []}, {"pairs": 0}, "not the same"),
    ({"same": "yes", "stages": []}, {"pairs": 0}, "not the same"),
    ({"checks": [{"fits": True, "topology": "v3"}]}, {"topologies": 1}, ""),
    ({"checks": [{"fits": False, "topology": "v3"}]}, {"topologies": 1}, "v3: no fit"),
    ({"metrics": {"AP": 0.5, "name": "x", "on": True}}, {"AP": 0.5}, ""),
    ({"loss": 2}, {"loss": 2}, ""),
  ],
)
def test_reports_of_ours(report, values, wrong):
  found = figures.read("report.json", json.dumps(report).encode())
  assert (found.values, found.wrong) == (values, wrong)


@pytest.mark.parametrize(
  ("name", "data"),
  [
    ("a.xml", b"<a"),
    ("a.json", b"{"),
    ("a.json", b"[]"),
    ("a.json", b'{"same": true}'),
    ("a.json", b'{"checks": 3}'),
    ("a.json", b'{"checks": [{}]}'),
  ],
)
def test_what_cannot_be_read_is_wrong(name, data):
  found = figures.read(name, data)
  assert "cannot be read" in found.wrong
  assert found.kept == ("unreadable", data)


def test_bounds():
  assert figures.below({"AP": 0.6}, {"AP": 0.6}) == ""
  assert figures.below({"AP": 0.59}, {"AP": 0.6}) == "AP is 0.59, not at least 0.6"
  assert figures.below({"AP": float("nan")}, {"AP": 0.6}) == "AP is nan, not at least 0.6"
  assert figures.below({}, {"AP": 0.6}) == "AP is missing, not at least 0.6"
