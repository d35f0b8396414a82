"""Exit codes and what is printed."""

import subprocess
import sys

import pytest

from official.cli import app
from official.cli.errors import UserError, nearest


def leave(main):
  with pytest.raises(SystemExit) as caught:
    app.run(main)
  return caught.value.code


def raising(error):
  def main():
    raise error

  return main


def test_exit_codes_of_main():
  assert leave(lambda: None) == 0
  assert leave(lambda: 3) == 3


def test_a_user_error_is_one_line(capsys):
  assert leave(raising(UserError("no such thing, mend it"))) == 2
  assert capsys.readouterr().err == "error: no such thing, mend it\n"


def test_an_interrupt(capsys):
  assert leave(raising(KeyboardInterrupt())) == 130
  assert capsys.readouterr().err == "interrupted\n"


def test_our_own_defects_keep_their_traceback(capsys):
  assert leave(raising(ZeroDivisionError("by zero"))) == 70
  error = capsys.readouterr().err
  assert "Traceback" in error
  assert "ZeroDivisionError: by zero" in error


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_leaves_is_no_defect(lines):
  code = f"from official.cli import app; app.run(lambda: print('x\\n' * {lines}))"
  process = subprocess.Popen(
    [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
  )
  process.stdout.close()
  assert process.stderr.read() == b""
  assert process.wait() == 141


def test_output_is_flushed_before_leaving(monkeypatch):
  flushed = []
  monkeypatch.setattr(sys.stdout, "flush", lambda: flushed.append(True), raising=False)
  leave(lambda: 0)
  assert flushed


def test_preparing_keeps_what_the_user_has_set(monkeypatch):
  monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
  monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
  app.prepare_tensorflow()
  assert app.os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
  assert app.os.environ["GRPC_VERBOSITY"] == "ERROR"


def test_nearest():
  assert nearest("v4-tinny", ["v3-tiny", "v4-tiny"]) == "; did you mean 'v4-tiny'?"
  assert nearest("mask", ["v3-tiny", "v4-tiny"]) == ""
  assert nearest("x", iter(())) == ""
