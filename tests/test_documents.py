"""README, WORKFLOW.md, CONTRIBUTING.md and the rooms' own: their commands and links are real.

A command is handed to its program, which reads the arguments and is stopped there: a flag that is
gone, a program that moved or a file that is not there fails. "…" stands for anything. What these
commands do, `tests/guides` sees.
"""

import argparse
import importlib
import pathlib
import re
import shlex
import sys

import pytest

from tests.guides import reading

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
  [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/*/README.md")]
  + [*ROOT.glob("configs/*/*.yaml")]
)


class Read(Exception):
  """The arguments were understood."""


def _commands(path):
  """Those of programs of ours: in Markdown, and in a YAML's header."""
  read = reading.in_header if path.suffix == ".yaml" else reading.commands
  found = [re.sub(r" >.*", "", command) for command in read(path.read_text())]
  return [command for command in found if command.split()[0] in ("python", "make", "pytest")]


CASES = {
  f"{path.relative_to(ROOT)}: {words}": words for path in DOCUMENTS for words in _commands(path)
}


def test_the_documents_are_found():
  names = {case.split(":")[0] for case in CASES}
  assert {"README.md", "WORKFLOW.md", "CONTRIBUTING.md", "official/tpu/README.md"} <= names
  assert len(CASES) > 80


@pytest.mark.parametrize("command", CASES.values(), ids=CASES.keys())
def test_commands(command, monkeypatch):
  program, *words = [word for word in shlex.split(command, comments=True) if word != "…"]
  if program == "make":
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert words[0] in targets
  elif program == "pytest":
    assert (ROOT / words[0]).exists()
  else:
    _hand_over(words, monkeypatch)


def _hand_over(words, monkeypatch):
  module, arguments = _program(words)
  original = argparse.ArgumentParser.parse_args

  def parse(*args, **kwargs):
    original(*args, **kwargs)
    raise Read

  monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
  monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
  for path in re.findall(r"configs/[^\s,]+", " ".join(arguments)):
    assert (ROOT / path).is_file()
  if "--help" in arguments:
    with pytest.raises(SystemExit, match="0"):
      module.main()
  else:
    with pytest.raises(Read):
      module.main()


def _program(words):
  if words[0] == "-m":
    name, arguments = words[1], words[2:]
    path = ROOT / name.replace(".", "/")
    return importlib.import_module(f"{name}.__main__" if path.is_dir() else name), arguments
  return importlib.import_module(words[0].removesuffix(".py").replace("/", ".")), words[1:]


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.suffix == ".md"], ids=str)
def test_links(path):
  for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
    assert link.startswith("https://") or (path.parent / link).exists(), link
