"""Runs training in processes of their own, kills them, and compares what they leave.

TensorFlow is imported once, in a fork server; a run then starts in a tenth of the time.
`start`, `finish` and `differences` serve any experiment that `train.py` knows.
"""

import importlib
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import sys

import numpy as np

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.official.training.preload"])


def start(*argv, log, kill=None):
  """Starts `train.py` with `argv`, its output going to the file `log`.

  Args:
    *argv: flags.
    log: path.
    kill: ("module:Class.method", n): the process kills itself with SIGKILL as it is about to
      call that for the n-th time.
  """
  process = _CONTEXT.Process(target=_child, args=(list(argv), str(log), kill))
  process.start()
  return process


def wait_for(path, *processes):
  """Waits until there is a file at `path`; none of the processes may end before."""
  while not path.exists():
    ended = multiprocessing.connection.wait([p.sentinel for p in processes], timeout=0.01)
    assert not ended, f"a run ended before it wrote {path.name}"


def finish(process, expected=0):
  """Waits for the process; it must leave the exit code `expected` (negative: a signal)."""
  process.join(100)
  if process.is_alive():
    process.kill()
    raise AssertionError("the run hangs")
  assert process.exitcode == expected


def run(*argv, log, kill=None, expected=None):
  """Runs `train.py` to its end and returns its output.

  The exit code must be `expected`: None is 0, or that of SIGKILL where it kills itself.
  """
  process = start(*argv, log=log, kill=kill)
  default = -signal.SIGKILL if kill else 0
  try:
    finish(process, default if expected is None else expected)
  except AssertionError as error:
    raise AssertionError(pathlib.Path(log).read_text()) from error
  return pathlib.Path(log).read_text()


def call(function, log, devices=1, kill=None):
  """Calls `function` in a process of its own that sees `devices` CPU devices; `kill` as `start`."""
  process = _CONTEXT.Process(target=_call, args=(function, str(log), devices, kill))
  process.start()
  try:
    finish(process, -signal.SIGKILL if kill else 0)
  except AssertionError as error:
    raise AssertionError(pathlib.Path(log).read_text()) from error


def tensors(prefix):
  """All state in a checkpoint, by name; not its count of saves, nor its object graph."""
  import tensorflow as tf

  reader = tf.train.load_checkpoint(str(prefix))
  names = [n for n in reader.get_variable_to_shape_map() if "CHECKPOINTABLE" not in n]
  return {n: reader.get_tensor(n) for n in names if not n.startswith("save_counter")}


def differences(left, right):
  """Names of the tensors that are not bit for bit the same in two checkpoints."""
  a, b = tensors(left), tensors(right)
  assert len(a) > 10
  return sorted({*a, *b} - {n for n in a if n in b and _same(a[n], b[n])})


def _same(a, b):
  return a.dtype == b.dtype and a.shape == b.shape and np.asarray(a).tobytes() == b.tobytes()


def _call(function, log, devices, kill):
  import tensorflow as tf

  _redirect(log)
  if kill:
    _arm(*kill)
  cpu = tf.config.list_physical_devices("CPU")[0]
  tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * devices
  )
  function()


def _child(argv, log, kill):
  _redirect(log)
  if kill:
    _arm(*kill)
  from tests.official.training import fake_train

  fake_train.run(argv)


def _redirect(log):
  descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
  os.dup2(descriptor, 1)
  os.dup2(descriptor, 2)
  sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)


def _arm(target, call):
  module, _, path = target.partition(":")
  *owners, name = path.split(".")
  owner = importlib.import_module(module)
  for part in owners:
    owner = getattr(owner, part)
  original, count = getattr(owner, name), [0]

  def counted(*args, **kwargs):
    count[0] += 1
    if count[0] == call:
      os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)

  setattr(owner, name, counted)
