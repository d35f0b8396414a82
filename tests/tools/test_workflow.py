"""`workflow` from its command line, on a small project, and on the two of this repository."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from official.cli.errors import UserError
from official.workflow.report import badge
from tests.official.workflow.conftest import _built, edit, evidence, root  # noqa: F401
from tools import workflow


@pytest.fixture
def here(root, monkeypatch):  # noqa: F811
  monkeypatch.setattr(workflow, "_ROOT", root)
  return root


def test_status(here, capsys, tmp_path):
  assert workflow.main(["status", "toy", f"--page={tmp_path / 'page.html'}"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == "toy: in stage 1, paper analysis; 2 of 15 gates pass"
  (loss,) = (line.split() for line in lines if " loss " in line)
  assert loss[:3] == ["3", "loss", "passed"]
  assert " ".join(loss[4:]) == "passed 1, skipped 0, failed 0"
  page = (tmp_path / "page.html").read_text()
  assert not re.findall(r'(?:src|href)="(?!data:)', page)
  for text in ("in stage 1", "python -m ruff check projects", "pre-processing", "Every run"):
    assert text in page
  assert page.count('class="passed"') == 4
  assert page.count('class="open"') == 13


def test_stale_gates_are_named_everywhere(here, capsys, tmp_path):
  edit(here / "projects/toy/terms.py", "x * x", "x + x")
  assert workflow.main(["check", "toy"]) == 1
  assert "stage 3, loss: stale: changed since: projects/toy/terms.py" in capsys.readouterr().out
  workflow.main(["status", "toy", f"--page={tmp_path / 'page.html'}"])
  assert "changed since: projects/toy/terms.py" in capsys.readouterr().out
  assert 'class="stale"' in (tmp_path / "page.html").read_text()


def test_run_then_check(here, capsys):
  assert workflow.main(["run", "toy", "loss", "style"]) == 0
  out = capsys.readouterr().out
  assert "loss: passed, " in out
  assert "style: passed, " in out
  assert workflow.main(["check", "toy"]) == 0
  assert capsys.readouterr().out == "toy: 0 findings; 2 gates green\n"


def test_a_run_that_fails(here, capsys):
  edit(here / "projects/toy/loss.py", "2 *", "3 *")
  assert workflow.main(["run", "toy", "loss"]) == 1
  out = capsys.readouterr().out
  assert "loss: failed: exit code 1: failed: tests.projects.toy.test_loss::test_loss" in out
  assert "assert 27 == 18" in out
  assert workflow.main(["check", "toy"]) == 1
  assert "stage 3, loss: failed: exit code 1" in capsys.readouterr().out


def test_next(here, capsys):
  workflow.main(["next", "toy"])
  assert "bind a command to it in projects/toy/reengineering.yaml" in capsys.readouterr().out
  text = "gates:\n  checklist:\n    command: python -m tools.workflow analysis toy\n"
  edit(here / "projects/toy/reengineering.yaml", "gates:\n", text)
  workflow.main(["next", "toy"])
  assert "run it: python -m tools.workflow run toy checklist" in capsys.readouterr().out


def test_damage(here, capsys):
  (here / "projects/toy/evidence/ledger.jsonl").write_text("")
  assert workflow.main(["check", "toy"]) == 1
  workflow.main(["next", "toy"])
  assert "mend it: python -m tools.workflow mend toy" in capsys.readouterr().out
  workflow.main(["status", "toy"])
  assert capsys.readouterr().out.startswith("EVIDENCE DAMAGED: ")
  assert workflow.main(["mend", "toy"]) == 0
  assert "the ledger has 2 records" in capsys.readouterr().out
  assert workflow.main(["check", "toy"]) == 0


def test_the_badge(here, capsys):
  workflow.main(["status", "toy", "--badge"])
  path = here / "projects/toy/evidence/badge.svg"
  picture = ElementTree.fromstring(path.read_text())
  texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
  assert texts[2] == "3 model engineering 1/5"
  path.write_text(path.read_text().replace("1/5", "5/5"))
  capsys.readouterr()
  assert workflow.main(["check", "toy"]) == 1
  assert "it does not show what the gates say" in capsys.readouterr().out
  edit(here / "projects/toy/loss.py", "2 *", "3 *")
  workflow.main(["status", "toy", "--badge"])
  assert badge._AMBER in path.read_text()
  workflow.main(["run", "toy", "loss"])
  assert badge._RED in path.read_text()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["status", "tyo"], "no project 'tyo' with a reengineering.yaml; did you mean 'toy'?"),
    (["run", "toy", "los"], "toy binds no command to a gate 'los'; did you mean 'loss'?"),
    (["check", "toy", "--base=none"], "git knows no revision 'none'"),
    (["chekc", "toy"], "invalid choice: 'chekc'"),
  ],
)
def test_mistakes_are_one_line(here, arguments, message):
  with pytest.raises(UserError) as caught:
    workflow.main(arguments)
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["yolo", "maskformer"])
def test_the_analysis_of_our_projects(name):
  command = [sys.executable, "tools/workflow.py", "analysis", name]
  done = subprocess.run(command, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith(f"{name}: 15 items answered, ")
