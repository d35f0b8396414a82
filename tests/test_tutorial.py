"""The tutorial, from nothing: its commands run, with its files, in a copy of the repository."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from official.workflow import judging, project
from official.workflow.judging import State

ROOT = pathlib.Path(__file__).resolve().parents[1]
_TEXT = (ROOT / "docs" / "tutorial.md").read_text()
_COPIED = ("official", "projects", "tools", "pyproject.toml", "requirements.lock")
_STEP = re.compile(r"Write `([^`]+)`:\n\n```python\n(.*?)```|```sh\n(.*?)```", re.S)
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "evidence", "recordings")


@pytest.fixture
def root(tmp_path):
  """The repository's code."""
  for name in _COPIED:
    source, target = ROOT / name, tmp_path / name
    if source.is_dir():
      shutil.copytree(source, target, ignore=_LEFT_OUT)
    else:
      shutil.copy(source, target)
  (tmp_path / "tests" / "projects").mkdir(parents=True)
  return tmp_path


def test_tutorial(root):
  pytest.importorskip("transformers")
  steps = list(_STEP.finditer(_TEXT))
  assert len(steps) == _TEXT.count("```") / 2, "a block that is neither a command nor a file"
  printed = ""
  for step in steps:
    path, text, commands = step.groups()
    if commands:
      printed += _run(commands, root)
    else:
      assert (root / path).is_file(), f"{path}: the scaffold has no such file"
      (root / path).write_text(text)
  assert "parity/base: passed" in printed
  _check_evidence(root)


def _run(commands, root):
  path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
  result = subprocess.run(
    ["bash", "-e", "-c", commands],
    cwd=root,
    env=os.environ | {"PATH": path, "TF_NUM_INTRAOP_THREADS": "1"},
    capture_output=True,
    text=True,
  )
  assert result.returncode == 0, result.stdout + result.stderr
  return result.stdout


def _check_evidence(root):
  """The gate is green, in float64."""
  (parity,) = (
    row for row in judging.judge(project.load(root, "resnet")).verdicts if row.name == "parity/base"
  )
  assert parity.state is State.PASSED, parity.reasons
  (path,) = (root / "projects/resnet/evidence/reports").glob("*parity*.log")
  log = path.read_text()
  assert "\nSAME: resnet/base, float64" in log, log[:200]
