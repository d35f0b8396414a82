"""`new_project` from its command line: what it writes runs, and fails for the right reasons."""

import json
import pathlib
import subprocess
import sys

import pytest

from official.cli.errors import UserError
from official.workflow import judging, project
from official.workflow.judging import State
from official.workflow.scaffold import project as scaffold
from tools import new_project, workflow

ROOT = pathlib.Path(__file__).resolve().parents[2]
_LINEAR = ["--reference", "torch.nn:Linear", "--arguments", '{"in_features": 3, "out_features": 2}']


@pytest.fixture
def root(tmp_path, monkeypatch):
  """A repository without projects."""
  (tmp_path / "projects").mkdir()
  (tmp_path / "tests" / "projects").mkdir(parents=True)
  (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
  monkeypatch.setattr(new_project, "_ROOT", tmp_path)
  return tmp_path


def _files(root):
  return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_is_written_is_listed_and_nothing_else_is(root, capsys):
  before = _files(root)
  new_project.main(["third", *_LINEAR])
  *listed, last = capsys.readouterr().out.splitlines()
  assert last == "what to do now: python -m tools.workflow next third"
  assert {str(path) for path in _files(root).keys() - before.keys()} == set(listed)
  for name in ("README.md", "dossier.py", "reengineering.yaml", "reference/weights.py"):
    assert f"projects/third/{name}" in listed
  assert "tests/projects/third/reference/test_cases.py" in listed
  assert not list(root.rglob(".*"))


def test_it_is_in_style(root):
  arguments = {"a": "it's", "b": [1, "two"], "c": {"d": True}, "e": None, "f": 1.5}
  original = scaffold.original.make(_LINEAR[1], json.loads(_LINEAR[3]))
  object.__setattr__(original, "arguments", arguments)
  scaffold.write(root, "third", original)
  for command in (["check"], ["format", "--check"]):
    result = subprocess.run(
      [sys.executable, "-m", "ruff", *command, "projects", "tests"],
      cwd=root,
      capture_output=True,
      text=True,
    )
    assert result.returncode == 0, result.stdout
  names = {}
  text = (root / "projects/third/reference/original.py").read_text()
  exec(
    text[text.index("ARGUMENTS") : text.index("\n\n\ndef")], {"Any": object, "dict": dict}, names
  )
  assert names["ARGUMENTS"] == arguments


def test_the_workflow_reads_it_and_no_gate_is_green(root):
  new_project.main(["third", *_LINEAR])
  standing = judging.judge(project.load(root, "third"))
  states = {row.name: row.state for row in standing.verdicts}
  assert standing.stage == 1
  assert State.PASSED not in states.values()
  bound = {name for name, state in states.items() if state is State.NOT_RUN}
  assert bound == {"checklist", "interface", "parity/base", "style"}


def test_an_analysis_that_nobody_wrote_does_not_pass(root, monkeypatch):
  new_project.main(["third", *_LINEAR])
  monkeypatch.setattr(workflow, "_ROOT", root)
  with pytest.raises(UserError, match=r"third/reengineering.yaml leaves .* open: purpose, code"):
    workflow.main(["analysis", "third"])


@pytest.mark.parametrize("name", ["Third", "third-one", "3rd", "", "_third", "class", "../third"])
def test_a_bad_name(root, name):
  before = _files(root)
  with pytest.raises(UserError, match="cannot name a package"):
    new_project.main([name, *_LINEAR])
  assert _files(root) == before


@pytest.mark.parametrize("room", ["projects", "tests/projects"])
def test_nothing_is_written_over(root, room):
  (root / room / "third").mkdir()
  (root / room / "third" / "mine.py").write_text("mine")
  before = _files(root)
  with pytest.raises(UserError, match=f"{room}/third is there already"):
    new_project.main(["third", *_LINEAR])
  assert _files(root) == before


def test_a_reference_that_fails_leaves_nothing(root):
  with pytest.raises(UserError, match="did you mean 'Linear'"):
    new_project.main(["third", "--reference", "torch.nn:Liner"])
  assert not list((root / "projects").iterdir())


def test_all_or_nothing(root, monkeypatch):
  """The second of the two folders cannot get its name: the first one loses it again."""
  rename = pathlib.Path.rename

  def refuse(path, target):
    if "tests" in target.parts:
      raise OSError("disk full")
    return rename(path, target)

  monkeypatch.setattr(pathlib.Path, "rename", refuse)
  with pytest.raises(UserError, match="cannot write the project: disk full"):
    new_project.main(["third", *_LINEAR])
  assert not list((root / "projects").iterdir())
  assert not list((root / "tests" / "projects").iterdir())


@pytest.mark.parametrize(
  ("text", "message"),
  [("{", "--arguments is no JSON"), ("[1]", "--arguments: expected names and values")],
)
def test_bad_arguments(root, text, message):
  with pytest.raises(UserError, match=message):
    new_project.main(["third", "--reference", "torch.nn:Linear", "--arguments", text])
