"""Files that would run code, or eat the machine, of a trusting reader: refused in one line."""

import contextlib
import pickle
import subprocess
import sys

import pytest

from official.checkpoints.formats import open_checkpoint
from official.checkpoints.pickles import machine
from official.cli.errors import UserError
from tests.official.checkpoints.attacks import LIVE, QUIET, SYSTEM
from tests.official.checkpoints.pickled import (
  NONE,
  call,
  dict_of,
  name,
  program,
  tensor,
  text,
  torch_zip,
)
from tests.official.checkpoints.watch import watched


def carriers(opcodes):
  """The same attack as a plain pickle and in a torch zip."""
  return {"a.pkl": program(opcodes), "a.pt": torch_zip(program(opcodes, protocol=4))}


@pytest.fixture(autouse=True, scope="module")
def warm(tmp_path_factory):
  """What Python imports late, it imports now, so that the watch sees only the file's doing."""
  path = tmp_path_factory.mktemp("warm") / "a.pkl"
  path.write_bytes(program(SYSTEM))
  for _ in range(2):
    with contextlib.suppress(UserError):
      open_checkpoint(path)


@pytest.fixture(autouse=True)
def small(monkeypatch):
  """A lower bound on work, so that the bombs go off sooner."""
  monkeypatch.setattr(machine, "MAX_WORK", 400_000)
  monkeypatch.setattr("official.checkpoints.flatten.MAX_VALUES", 50_000)


@pytest.mark.parametrize("attack", [*LIVE, *QUIET])
def test_refused_in_one_line_and_nothing_run(tmp_path, monkeypatch, attack):
  monkeypatch.chdir(tmp_path)
  reason, opcodes = (LIVE | QUIET)[attack]
  for file_name, content in carriers(opcodes).items():
    path = tmp_path / file_name
    path.write_bytes(content)
    with watched() as seen, pytest.raises(UserError) as caught:
      open_checkpoint(path)
    assert not seen
    message = str(caught.value)
    assert message.startswith(f"cannot read {path}: ")
    assert message.isprintable()
    assert "; " in message
    assert len(message) < len(str(path)) + 300
    if file_name == "a.pt" or "refers to something outside it" not in message:
      assert reason in message
  assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pkl", "a.pt"]


def test_the_attacks_are_real(tmp_path):
  """Python's own unpickler runs each of them; without this, the test above could be of duds."""
  code = """
import contextlib, os, pickle, sys
for path in sys.argv[1:]:
  for protocol in "24":
    with contextlib.suppress(Exception):
      pickle.loads(open(path + "." + protocol, "rb").read())
  print(os.path.exists("canary") and os.remove("canary") is None)
"""
  needs_torch = ("torch.load of bytes", "numpy's scalar of objects", "__setstate__ by BUILD")
  attacks = [attack for attack in LIVE if attack not in needs_torch]
  for index, attack in enumerate(attacks):
    # Python's names of old are translated in old protocols, dots allowed in new ones.
    for protocol in (2, 4):
      (tmp_path / f"{index}.{protocol}").write_bytes(program(LIVE[attack][1], protocol=protocol))
  paths = [str(index) for index in range(len(attacks))]
  command = [sys.executable, "-c", code, *paths]
  done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
  fired = [line for line in done.stdout.splitlines() if line in ("True", "False")]
  assert [a for a, line in zip(attacks, fired, strict=True) if line != "True"] == []


def test_the_watch_sees(tmp_path):
  with watched() as seen:
    pickle.loads(program(call("os", "getcwd")))
    with contextlib.suppress(OSError):
      (tmp_path / "missing" / "a").open("w")
  assert any("find_class" in line for line in seen)
  assert any("missing" in line for line in seen)
  with watched() as seen:
    sum([1, 2])
  assert not seen


@pytest.mark.parametrize(
  "harmless",
  [
    dict_of(text("f"), name("os", "system"), text("a"), tensor()),
    dict_of(text("a"), tensor(), name("torch.nn.functional", "relu"), NONE),
  ],
)
def test_a_name_that_is_not_used_harms_nobody(tmp_path, harmless):
  path = tmp_path / "a.pt"
  path.write_bytes(torch_zip(program(harmless)))
  with watched() as seen:
    checkpoint = open_checkpoint(path)
    assert checkpoint.arrays["a"].read().tolist() == [0] * 4
  assert not seen
  assert checkpoint.metadata in ({"f": "(os.system)"}, {"torch.nn.functional.relu": None})


def test_there_are_at_least_forty():
  assert len(LIVE) + len(QUIET) >= 100
