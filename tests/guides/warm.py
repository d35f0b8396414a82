"""`python` that starts in a tenth of the time: a process that forks has imported what is large.

`Warm` puts a `python` into a folder. What it is told, where, and in which environment, it hands to
the process that forks, with its own standard streams, and leaves with the exit code that comes
back. So does every process that a program starts: `sys.executable` is that `python`.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pathlib
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PRELOADED = (
  "multiprocessing.spawn",
  "official.training.runner",
  "official.training.settings",
  "scipy.optimize",
  "torch",
  "transformers",
)
_COLD = ["-m", "official.tpu.compile_worker"]  # libtpu wants a process without TensorFlow.
_MESSAGE = 2**17  # Bytes at most: the arguments and the environment.
_CLIENT = """#!{python} -SEs
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({address!r})
job = [sys.argv[1:], os.getcwd(), dict(os.environ)]
socket.send_fds(server, [json.dumps(job).encode()], [0, 1, 2])
sys.exit(int(server.recv(16)))
"""


class Warm:
  """A folder with a quick `python`; `close` ends what is behind it."""

  def __init__(self, folder):
    address, self.python = folder / "socket", folder / "python"
    self.python.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
    self.python.chmod(0o755)
    command = [sys.executable, "-m", "tests.guides.warm", str(address), str(self.python)]
    self._server = subprocess.Popen(
      command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert self._server.stdout.readline(), "the process that forks did not start"

  def close(self):
    self._server.communicate()


def _serve(address, python):
  """Forks for each job that comes in; ends when whoever started it has ended."""
  for name in _PRELOADED:
    importlib.import_module(name)
  gc.freeze()  # What is imported is never looked through, nor copied for it.
  listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
  listening.bind(address)
  listening.listen()
  print("ready", flush=True)
  signal.signal(signal.SIGCHLD, signal.SIG_IGN)
  while True:
    ready, _, _ = select.select([listening, sys.stdin], [], [])
    if sys.stdin in ready:  # Whoever started this has closed it, or has ended.
      return
    job, _ = listening.accept()
    if os.fork() == 0:
      _oversee(job, python)
      return
    job.close()


def _oversee(job, python):
  """Runs the program in a process of its own and sends its exit code."""
  signal.signal(signal.SIGCHLD, signal.SIG_DFL)
  message, streams, _, _ = socket.recv_fds(job, _MESSAGE, 3)
  program = os.fork()
  if program == 0:
    job.close()
    _become(*json.loads(message), streams, python)
    return
  code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
  with contextlib.suppress(BrokenPipeError):
    job.send(str(code if code >= 0 else 128 - code).encode())
  os._exit(0)


def _become(words, folder, environment, streams, python):
  """Is `python words…` in `folder`, to its end."""
  for number, stream in enumerate(streams):
    os.dup2(stream, number)
    os.close(stream)
  sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", 1)
  os.chdir(folder)
  os.environ.clear()
  os.environ.update(environment)
  if words[:2] == _COLD:
    os.execv(sys.executable, [sys.executable, *words])
  sys.executable = python
  _look_for_modules_in(folder)
  code = 0
  try:
    if words[0] == "-m":
      sys.argv = words[1:]
      runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
      sys.argv = list(words)
      runpy.run_path(words[0], run_name="__main__")
  except SystemExit as end:
    code = end.code
  _leave(code)


def _look_for_modules_in(folder):
  """What is not imported yet comes from there, not from this checkout."""
  sys.path[0] = folder  # Of a script too: it stands for the checkout that is installed.
  here = f"{_ROOT}/official"  # Not all of the checkout: upstream's may be installed within it.
  for name, module in list(sys.modules.items()):
    if name.split(".")[0] == "tests":
      del sys.modules[name]
    elif name.split(".")[0] == "official" and hasattr(module, "__path__"):
      module.__path__ = [path.replace(here, f"{folder}/official") for path in module.__path__]


def _leave(code):
  """Ends as Python does, but without taking apart what was imported: that takes seconds."""
  if isinstance(code, str):
    print(code, file=sys.stderr)
  threading._shutdown()
  atexit._run_exitfuncs()
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
  from official.cli.app import prepare_tensorflow

  prepare_tensorflow()
  _serve(*sys.argv[1:])
