"""WORKFLOW.md: its gates, commands, stages and links are those of the programs."""

import importlib
import pathlib
import re
import shlex

import pytest

from official.parity.case import STAGES as PARITY_STAGES
from official.workflow.stages import GATES, STAGES
from tools import workflow

ROOT = pathlib.Path(__file__).resolve().parents[1]
TEXT = (ROOT / "WORKFLOW.md").read_text()
COMMANDS = re.findall(r"^(?:python .*?)(?=\s+#|$)", TEXT, re.M)


def test_stages_and_gates():
  for stage in STAGES:
    names = ", ".join(gate.name for gate in stage.gates)
    assert f"| {stage.number} {stage.title} | {names} |" in TEXT
    assert f"\n## {stage.number} {stage.title.capitalize()}\n" in TEXT
  assert set(re.findall(r"`([a-z]+)`", TEXT)) >= set(GATES)


def test_links():
  links = re.findall(r"\]\(([^)]+)\)", TEXT)
  assert len(links) > 6
  for link in links:
    assert (ROOT / link).exists(), link


@pytest.mark.parametrize("command", [c for c in COMMANDS if "tools.workflow" in c])
def test_commands_of_workflow(command):
  arguments = workflow._parser().parse_args(shlex.split(command)[3:])
  assert (ROOT / "projects" / arguments.project / "reengineering.yaml").is_file()


@pytest.mark.parametrize("command", [c for c in COMMANDS if "tools.workflow" not in c])
def test_other_commands(command):
  words = shlex.split(command)
  name = words[2] if words[1] == "-m" else words[1].removesuffix(".py").replace("/", ".")
  assert callable(importlib.import_module(name).main)
  for path in re.findall(r"configs/\S+", command):
    assert (ROOT / path).is_file()


def test_stages_of_parity():
  (names,) = re.findall(r"--stages (\S+)`", TEXT)
  assert set(names.split(",")) <= set(PARITY_STAGES)
