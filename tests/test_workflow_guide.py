"""WORKFLOW.md: its gates, projects and stages are those of the programs."""

import pathlib
import re
import shlex

import pytest

from official.parity.case import STAGES as PARITY_STAGES
from official.workflow.stages import GATES, STAGES
from tools import workflow

ROOT = pathlib.Path(__file__).resolve().parents[1]
TEXT = (ROOT / "WORKFLOW.md").read_text()
COMMANDS = re.findall(r"^(?:python -m tools.workflow .*?)(?=\s+#|$)", TEXT, re.M)


def test_stages_and_gates():
  for stage in STAGES:
    names = ", ".join(gate.name for gate in stage.gates)
    assert f"| {stage.number} {stage.title} | {names} |" in TEXT
    assert f"\n## {stage.number} {stage.title.capitalize()}\n" in TEXT
  assert set(re.findall(r"`([a-z]+)`", TEXT)) >= set(GATES)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_workflow(command):
  arguments = workflow._parser().parse_args(shlex.split(command)[3:])
  assert (ROOT / "projects" / arguments.project / "reengineering.yaml").is_file()


def test_stages_of_parity():
  (names,) = re.findall(r"--stages (\S+)`", TEXT)
  assert set(names.split(",")) <= set(PARITY_STAGES)
