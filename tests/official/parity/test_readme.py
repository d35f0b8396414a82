"""What the README says about a case: its example passes, and fails as it is shown to."""

import re
import shlex
from pathlib import Path

import pytest

import official.parity
from tools import parity

README = Path(official.parity.__file__).with_name("README.md")


def _blocks(language):
  return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.S)


def test_the_example_passes():
  (example,) = _blocks("python")
  names = {}
  exec(example, names)
  names["test_it_is_the_same_model"]()


def test_the_example_fails_as_shown():
  (example,) = _blocks("python")
  (shown,) = _blocks("text")
  names = {}
  exec(example.replace("epsilon=1e-5, ", ""), names)
  with pytest.raises(AssertionError) as error:
    names["test_it_is_the_same_model"]()
  # Rounding may differ between machines in the last figure.
  assert re.sub(r"→ \d+e-18", "", str(error.value)) == re.sub(r"→ \d+e-18", "", shown.strip())


def test_the_commands_are_understood():
  (commands,) = _blocks("sh")
  for line in commands.splitlines():
    python, tool, *arguments = shlex.split(line, comments=True)
    assert (python, tool) == ("python", "tools/parity.py")
    parity._parser().parse_args(arguments)
