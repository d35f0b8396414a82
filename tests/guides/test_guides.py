"""Every command of the guides runs: as it stands, or in small as the table says.

A document's commands run in order, in a copy of the repository, so that a later one finds what an
earlier one has made.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.guides import given, reading, table
from tests.guides.warm import Warm

ROOT = pathlib.Path(__file__).resolve().parents[2]
_PATTERNS = ("README.md", "WORKFLOW.md", "CONTRIBUTING.md", "docs/*.md", "*/*/README.md")
DOCUMENTS = {
  str(path.relative_to(ROOT)): reading.commands(path.read_text())
  for pattern in _PATTERNS
  for path in sorted(ROOT.glob(pattern))
}
_COPIED = (
  *("official", "projects", "tools", "tests", "benchmarks", "configs", "train.py"),
  *("pyproject.toml", "requirements.lock", "Makefile"),
)
_MADE = "make BIN={folder} -o .venv/.dev -o .venv/.runtime "  # Everything is installed here.


def _row(command):
  rows = [row for row in table.ROWS if row.fits(command)]
  assert rows, (
    f"no row of tests/guides/table.py fits `{command}`: add Row({command!r}), with what makes it "
    "small (changes, more, edits), the files that it needs (given), and what it prints"
  )
  return rows[0]


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
  pytest.importorskip("transformers")
  warm = Warm(tmp_path_factory.mktemp("bin"))
  (warm.python.parent / "ruff").symlink_to(pathlib.Path(sys.executable).parent / "ruff")
  yield warm
  warm.close()


@pytest.fixture
def checkout(tmp_path):
  """The repository's files, where they may be changed."""
  folder = tmp_path / "checkout"
  folder.mkdir()
  for name in _COPIED:
    if (ROOT / name).is_dir():
      shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
      shutil.copy(ROOT / name, folder / name)
  given.checkpoint_program(folder)
  return folder


def test_the_documents_are_found():
  names = {"README.md", "WORKFLOW.md", "CONTRIBUTING.md", "docs/tutorial.md"}
  rooms = {f"{room}/README.md" for room in ("official/tpu", "official/parity", "projects/yolo")}
  assert names | rooms <= DOCUMENTS.keys()
  assert sum(map(len, DOCUMENTS.values())) > 80


def test_a_command_that_nobody_knows_fails():
  with pytest.raises(AssertionError, match=r"no row of .* fits `python tools/parity.py rum`: add"):
    _row("python tools/parity.py rum")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands(document, warm, checkout):
  rows = [(command, _row(command)) for command in DOCUMENTS[document]]
  for command, row in rows:
    if not row.by and not row.slow:
      _run(command, row, warm, checkout)


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in table.ROWS if row.slow], ids=lambda r: r.command)
def test_slow_commands(row, warm, checkout):
  _run(row.command, row, warm, checkout)


def _run(command, row, warm, checkout):
  for name, old, new in row.edits:
    text = (checkout / name).read_text()
    assert old in text, f"{command}: the table changes '{old}' in {name}, which is not there"
    (checkout / name).write_text(text.replace(old, new))
  if callable(row.given):
    row.given(checkout)
  elif row.given:
    _call(row.given, warm, checkout, codes=(0,))
  printed = _call(row.small(command), warm, checkout, row.codes)
  assert re.search(row.prints, printed, re.M), f"{command}: no '{row.prints}' in\n{printed}"


def _call(command, warm, checkout, codes):
  folder = warm.python.parent
  made = _MADE.format(folder=folder)
  result = subprocess.run(
    ["bash", "-c", re.sub("^make ", made, command)],
    cwd=checkout,
    env=os.environ
    | {
      "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
      "PYTHONPATH": str(checkout),
      "XDG_CACHE_HOME": str(checkout / "cache"),
    },
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  assert result.returncode in codes, f"{command}: exit code {result.returncode}\n{result.stdout}"
  return result.stdout


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.command)
def test_rows(row):
  """None is left over; what it says to run the command elsewhere is there."""
  assert any(row.fits(command) for commands in DOCUMENTS.values() for command in commands)
  if row.by:
    path, text = ROOT / row.by[0], row.by[1]
    files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    assert all(text in file.read_text() for file in files)
