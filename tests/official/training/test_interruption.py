"""Signals: the first is a request, the second an end, also while Python is busy in C."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from official.training.interruption import Interrupted, Interruption


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_first_signal_asks(capfd, number, code):
  before = signal.getsignal(number)
  told = threading.Event()
  with Interruption() as interruption:
    interruption.check()
    receive, interruption._receive = interruption._receive, None
    interruption._receive = lambda n: (receive(n), told.set())
    os.kill(os.getpid(), number)
    assert told.wait(10)
    with pytest.raises(Interrupted) as stop:
      interruption.check()
  assert stop.value.exit_code == code
  assert f"{number.name}: finishing the running loop" in capfd.readouterr().err
  assert signal.getsignal(number) == before


def test_second_signal_exits_while_c_code_runs():
  # hashlib lets other threads run, as TensorFlow does, but no Python signal handler.
  code = """
import hashlib
from official.training.interruption import Interruption
with Interruption():
  print("ready", flush=True)
  hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
"""
  process = subprocess.Popen(
    [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == "ready\n"
  process.send_signal(signal.SIGTERM)
  assert process.stderr.readline().startswith("SIGTERM: finishing the running loop")
  process.send_signal(signal.SIGTERM)
  assert process.wait(10) == 143
