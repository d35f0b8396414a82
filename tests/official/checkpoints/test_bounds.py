"""Files that would fill the memory: refused within a gigabyte, at the limits as they really are."""

import subprocess
import sys

import pytest

from tests.official.checkpoints.pickled import (
  FALSE,
  call,
  name,
  number,
  program,
  storage,
  torch_zip,
  tuple_of,
)

_PARTS = (storage(), number(0), tuple_of(number(4)), tuple_of(number(1)), FALSE)
_ARGUMENTS = tuple_of(*_PARTS, call("collections", "OrderedDict"))
_REBUILD = name("torch._utils", "_rebuild_tensor_v2") + b"q\x000" + _ARGUMENTS + b"q\x010"

BOMBS = {
  "sets": b"\x8f" * 1_000_000,
  "tensors": _REBUILD + b"h\x00h\x01R" * 250_000,
  "names of one tensor": _REBUILD + b"h\x00h\x01Rq\x020" + b"](" + b"h\x02" * 1500 + b"eq\x030]("
  + b"h\x03" * 1500 + b"e",
}  # fmt: skip

CODE = """
import resource, sys
from official.checkpoints.formats import open_checkpoint
from official.cli.errors import UserError
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 2**30, now + 2**30))
try:
  open_checkpoint(sys.argv[1])
except UserError as error:
  print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_gigabyte_is_enough(tmp_path, bomb):
  path = tmp_path / "a.pt"
  path.write_bytes(torch_zip(program(BOMBS[bomb])))
  command = [sys.executable, "-c", CODE, str(path)]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert not done.stderr
  expected = "more than 1,000,000 values" if "names" in bomb else "larger than any checkpoint"
  assert expected in done.stdout or "copies more than any checkpoint" in done.stdout
