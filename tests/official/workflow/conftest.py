"""A small repository with one project, whose loss gate has been run and committed."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from official.workflow import project, running

_YAML = pathlib.Path(__file__).with_name("toy.yaml")
WEIGHTS = b"weights"
FILES = {
  "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\naddopts = "-q"\n',
  "requirements.lock": "pytest==9.2.0\nruff==0.17.6\n",
  "projects/__init__.py": "",
  "projects/toy/__init__.py": "",
  "projects/toy/terms.py": "def square(x):\n  return x * x\n",
  "projects/toy/loss.py": (
    "def loss(x):\n  from projects.toy.terms import square\n\n  return 2 * square(x)\n"
  ),
  "projects/toy/other.py": "",
  "tests/projects/toy/test_loss.py": (
    "from projects.toy.loss import loss\n\n\ndef test_loss():\n  assert loss(3) == 18\n"
  ),
}


def git(root, *arguments):
  identity = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME",)}
  identity |= {"GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_EMAIL": "a@example.org"}
  identity |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
  command = ["git", "-C", str(root), *arguments]
  return subprocess.run(command, env=os.environ | identity, capture_output=True, text=True)


def commit(root):
  git(root, "add", "-A")
  assert git(root, "commit", "-q", "-m", "x").returncode == 0


def run(root, gate="loss", lines=None):
  return running.run(project.load(root, "toy"), gate, (lines if lines is not None else []).append)


def edit(path, old, new):
  text = path.read_text()
  assert old in text
  path.write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def _built(tmp_path_factory):
  root = tmp_path_factory.mktemp("repository")
  for name, text in FILES.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
  (root / "weights.bin").write_bytes(WEIGHTS)
  text = re.sub(r"(sha256: )\w+", rf"\g<1>{hashlib.sha256(WEIGHTS).hexdigest()}", _YAML.read_text())
  (root / "projects/toy/reengineering.yaml").write_text(text)
  (root / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n.ruff_cache/\n")
  git(root, "init", "-q", "-b", "main")
  commit(root)
  run(root)
  commit(root)
  run(root, "style")
  commit(root)
  return root


@pytest.fixture
def root(_built, tmp_path):
  """The repository, with three commits: without evidence, with the loss's, with the style's too."""
  return shutil.copytree(_built, tmp_path / "repository")


@pytest.fixture
def evidence(root):
  return root / "projects" / "toy" / "evidence"
