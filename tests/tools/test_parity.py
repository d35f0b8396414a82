"""`parity` on a project of its own, which plugs in by its dossier alone."""

import os
import subprocess
import sys

import pytest

import projects
from official.cli.errors import UserError
from official.parity import session
from official.parity.report import json_file
from tests.official.parity import toys
from tools import parity

DOSSIER = """
import dataclasses
import pathlib
import signal
import tempfile

from official.dossiers.dossier import Dossier


def _stopped(case):
  def candidate(precision):
    assert any(pathlib.Path(tempfile.gettempdir()).glob("parity-*"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Background shells ignore it.
    signal.raise_signal(signal.SIGINT)

  return dataclasses.replace(case, candidate=candidate)


def _parity():
  from tests.official.parity import toys

  return {
    "clean": toys.case(),
    "wrong": toys.case(toys.Defects(slope=0.2)),
    "recorded": toys.case(reference=None),
    "stopped": _stopped(toys.case()),
  }


DOSSIER = Dossier(
  name="toys",
  papers=(),
  variants={},
  experiments=(),
  input_shape=lambda task: (18, 15, 3),
  detector=None,
  categories=None,
  parity=_parity,
)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A folder of projects with one project more."""
  folder = tmp_path_factory.mktemp("projects")
  (folder / "toys").mkdir()
  (folder / "toys" / "__init__.py").touch()
  (folder / "toys" / "dossier.py").write_text(DOSSIER)
  projects.__path__.append(str(folder))
  yield folder
  projects.__path__.remove(str(folder))
  for name in [name for name in sys.modules if name.startswith("projects.toys")]:
    del sys.modules[name]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
  path = tmp_path_factory.mktemp("recording") / "toy.safetensors"
  session.record(toys.case(), path, steps=2)
  return path


def test_list(folder, capsys):
  assert parity.main(["list"]) == 0
  lines = [line.split() for line in capsys.readouterr().out.splitlines()]
  assert ["toys", "clean", "toys/toy", "here,", "or", "recorded"] in lines
  assert ["toys", "recorded", "toys/toy", "recorded", "only"] in lines


def test_run_that_is_the_same(folder, recording, tmp_path, capsys):
  report = tmp_path / "report"
  arguments = ["run", "toys", "clean", "--steps=2", f"--recording={recording}"]
  assert parity.main([*arguments, f"--report={report}"]) == 0
  out, err = capsys.readouterr()
  assert "SAME" in out.splitlines()[0].upper()
  assert str(report / "index.html") in out
  assert "12/12 parts (100 %)" in err
  assert json_file.read_json(report / "report.json").same
  assert "toys/toy" in (report / "index.html").read_text()


def test_run_that_is_not(folder, recording, tmp_path, capsys):
  arguments = ["run", "toys", "wrong", "--stages=forward", f"--recording={recording}"]
  assert parity.main([*arguments, f"--report={tmp_path}"]) == 1
  out = capsys.readouterr().out
  assert "act" in out.splitlines()[1]
  blame = json_file.read_json(tmp_path / "report.json").first_blame
  assert (blame.layer, blame.diagnoses[0].cause) == ("act", "activation_slope")
  assert "<svg" in (tmp_path / "index.html").read_text()


def test_record_then_run(folder, tmp_path, capsys):
  path = tmp_path / "toy.safetensors"
  options = ["--precision=float32", "--stages=forward", "--seed=4"]
  assert parity.main(["record", "toys", "clean", str(path), *options]) == 0
  golden = tmp_path / "toy.golden.safetensors"
  assert capsys.readouterr().out == f"wrote {path}, {golden}\n"
  assert parity.main(["run", "toys", "recorded", f"--recording={path}", *options]) == 0


def test_map(folder, capsys):
  assert parity.main(["map", "toys", "clean"]) == 0
  out = capsys.readouterr().out
  rules = {}
  exec("from official.checkpoints.rules import Ignore, Rule\n" + out, rules)
  assert set(toys.case().weights) - {rule for rule in rules["WEIGHTS"]} <= {toys.case().weights[-1]}


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["run", "toyz", "clean"], "no project 'toyz'; did you mean 'toys'"),
    (["run", "toys", "claen"], "toys has no case 'claen'; did you mean 'clean'? (it has clean, "),
    (["run", "toys", "clean", "--stages=forwards"], "no stage 'forwards'; did you mean 'forward'"),
    (["run", "toys", "clean", "--precision=float23"], "no precision 'float23'; did you mean"),
    (["run", "toys", "clean", "--steps=0"], "'0' is no positive number"),
    (["run", "toys", "clean", "--stepz=1"], "--stepz=1; did you mean '--steps'"),
    (["run", "toys", "recorded"], "cannot be run here; give a recording"),
    (["run", "toys", "clean", "--recording=/no/such"], "/no/such"),
    (["record", "toys", "recorded", "/tmp/x"], "cannot be run here"),
    (["record", "toys", "clean", "x", "--precision=half"], "no precision 'half'"),
    (["runn"], "invalid choice: 'runn'"),
  ],
)
def test_mistakes_are_one_line(folder, arguments, message):
  with pytest.raises(UserError) as caught:
    parity.main(arguments)
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_project_without_cases(folder):
  (folder / "bare").mkdir()
  (folder / "bare" / "__init__.py").touch()
  (folder / "bare" / "dossier.py").write_text(DOSSIER.replace("parity=_parity,", ""))
  with pytest.raises(UserError, match="states no parity cases"):
    parity.main(["run", "bare", "x"])
  assert parity.main(["list"]) == 0


RUN = """
import sys, projects
projects.__path__.append(sys.argv.pop(1))
blocked = sys.argv.pop(1).split(",")


class Blocked:
  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] in blocked:
      raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocked())
from official.cli import app
from tools import parity
app.run(parity.main)
"""


def start(folder, blocked, *arguments, **options):
  return subprocess.Popen(
    [sys.executable, "-c", RUN, str(folder), blocked, *arguments],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **options,
  )


def test_a_recording_needs_no_torch(folder, recording):
  process = start(
    folder, "torch,jax", "run", "toys", "recorded", "--steps=1", f"--recording={recording}"
  )
  _, err = process.communicate()
  assert process.returncode == 0, err


def test_recording_needs_no_tensorflow(folder, tmp_path):
  path = tmp_path / "toy.safetensors"
  blocked = "tensorflow,tf_keras"
  process = start(folder, blocked, "record", "toys", "clean", str(path), "--stages=forward")
  _, err = process.communicate()
  assert "tensorflow" in err or path.exists(), err


def test_without_torch_and_without_a_recording(folder):
  process = start(folder, "torch", "run", "toys", "clean")
  _, err = process.communicate()
  assert process.returncode == 2
  assert "error: toys/toy: the original needs torch: pip install" in err.splitlines()[-1]


def test_ctrl_c_leaves_nothing(folder, tmp_path):
  process = start(
    folder, "jax", "run", "toys", "stopped", env={**os.environ, "TMPDIR": str(tmp_path)}
  )
  _, err = process.communicate()
  assert process.returncode == 130, err
  assert err.splitlines()[-1] == "interrupted"
  assert not any(tmp_path.glob("parity-*"))


def test_as_a_script():
  found = subprocess.run(
    [sys.executable, "tools/parity.py", "run", "nothing", "x"], capture_output=True, text=True
  )
  assert found.returncode == 2
  assert found.stderr.startswith("error: no project 'nothing'")
