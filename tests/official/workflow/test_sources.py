"""What code a gate is about: found by reading, compared with what Python itself loads."""

import subprocess
import sys

import pytest

from official.cli.errors import UserError
from official.workflow import project
from official.workflow.sources import Sources, tree_digest
from tests.official.workflow.conftest import edit

LOADED = """
import importlib, pathlib, sys
importlib.import_module(sys.argv[1])
root = pathlib.Path.cwd()
files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
print("\\n".join(str(pathlib.Path(f).relative_to(root)) for f in files if f.startswith(f"{root}/")))
"""


def files(root, *entries, follow=True):
  return list(Sources(root).scope(entries, follow).files)


@pytest.mark.parametrize(
  "module", ["tools.workflow", "official.workflow.running", "projects.yolo.dossier"]
)
def test_all_that_python_loads_is_found(module):
  """Of our own repository, without what lies in an environment within it."""
  root = project.__file__.rpartition("/official/")[0]
  run = subprocess.run([sys.executable, "-c", LOADED, module], cwd=root, capture_output=True)
  loaded = {name for name in run.stdout.decode().split() if not name.startswith(".venv")}
  assert len(loaded) > 4
  found = set(Sources(project.Path(root)).scope([module]).files)
  assert loaded <= found
  assert not any("site-packages" in name for name in found)


def test_imports_inside_functions_and_packages_count(root):
  assert files(root, "projects.toy.loss") == [
    "projects/__init__.py",
    "projects/toy/__init__.py",
    "projects/toy/loss.py",
    "projects/toy/terms.py",
  ]
  assert files(root, "projects/toy/loss.py", follow=False) == ["projects/toy/loss.py"]


@pytest.mark.parametrize(
  "statement",
  [
    "from . import terms",
    "from .terms import square",
    "from ..toy import terms",
    "import projects.toy.terms as t",
    "from projects.toy import terms, other",
    "try:\n  import projects.toy.terms\nexcept ImportError:\n  pass",
  ],
)
def test_every_form_of_import(root, statement):
  (root / "projects/toy/user.py").write_text(f"{statement}\n")
  assert "projects/toy/terms.py" in files(root, "projects.toy.user")


def test_foreign_packages(root):
  text = "import os.path\nimport numpy.linalg\nfrom official.core import x\nimport projects.toy\n"
  (root / "projects/toy/user.py").write_text(text)
  assert Sources(root).scope(["projects.toy.user"]).packages == ("numpy", "official")


def test_circles_and_broken_files_end(root):
  edit(root / "projects/toy/terms.py", "def", "import projects.toy.loss\n\n\ndef")
  (root / "projects/toy/other.py").write_text("def (")
  assert "projects/toy/other.py" in files(root, "projects/toy")
  assert "projects/toy/loss.py" in files(root, "projects.toy.terms")


def test_folders_are_taken_without_notes_and_evidence(root):
  (root / "projects/toy/README.md").write_text("")
  (root / "projects/toy/numbers.npz").write_text("")
  (root / "projects/toy/.hidden").write_text("")
  names = files(root, "projects/toy", follow=False)
  assert "projects/toy/numbers.npz" in names
  assert [name for name in names if not name.endswith((".py", ".npz"))] == []
  assert "projects/toy/reengineering.yaml" in files(root, "projects/toy/reengineering.yaml")


def test_conftests_above_a_test_count(root):
  (root / "tests/conftest.py").write_text("import projects.toy.other\n")
  found = files(root, "tests/projects/toy")
  assert {"tests/conftest.py", "projects/toy/other.py"} <= set(found)


def test_names_and_contents_make_the_digest(root):
  first = Sources(root).scope(["projects.toy.loss"]).digest
  edit(root / "projects/toy/terms.py", "x * x", "x*x")
  assert Sources(root).scope(["projects.toy.loss"]).digest != first


def test_what_is_not_there(root):
  with pytest.raises(UserError, match=r"code 'projects\.toy\.none': there is neither such a file"):
    files(root, "projects.toy.none")


def test_digests_of_folders(tmp_path):
  (tmp_path / "a").mkdir()
  (tmp_path / "a/x").write_text("1")
  first = tree_digest(tmp_path)
  (tmp_path / "a/x").rename(tmp_path / "a/y")
  assert tree_digest(tmp_path) != first
  with pytest.raises(UserError, match="cannot read"):
    tree_digest(tmp_path / "none")
