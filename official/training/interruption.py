"""SIGTERM and Ctrl-C: the first asks for a stop at the next safe place, the second exits."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Self

import tensorflow as tf

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
  """Training stopped at a signal, and its checkpoint is saved.

  Attributes:
    exit_code: what the process should leave: 128 and the signal's number.
  """

  def __init__(self, number: int) -> None:
    super().__init__(f"stopped by {signal.Signals(number).name}")
    self.exit_code = 128 + number


class Interruption:
  """While entered, turns a first signal into a request to stop and a second into an exit.

  A training loop runs in C++ for minutes, and Python's signal handlers wait for it. So a thread
  reads the signals from the pipe that Python's C handler writes to, and acts at once.
  Enter it in the main thread.
  """

  def __init__(self) -> None:
    self._number = 0

  def __enter__(self) -> Self:
    self._reader, self._writer = os.pipe()
    os.set_blocking(self._writer, False)
    self._old_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
    self._old = {number: signal.signal(number, _leave_to_the_thread) for number in _SIGNALS}
    threading.Thread(target=self._listen, daemon=True).start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(self._old_wakeup)
    os.close(self._writer)

  def check(self) -> None:
    """Raises `Interrupted` if a stop was asked for: of any worker, alike on all of them."""
    number = self._number
    strategy = tf.distribute.get_strategy()
    if strategy.extended._in_multi_worker_mode():
      # A worker that stopped alone would leave the others waiting for it for ever.
      numbers = strategy.run(lambda: tf.constant(self._number))
      number = max(number, signal.SIGTERM if int(strategy.reduce("SUM", numbers, None)) else 0)
    if number:
      raise Interrupted(number)

  def _listen(self) -> None:
    with open(self._reader, "rb", buffering=0) as pipe:
      while byte := pipe.read(1):
        self._receive(byte[0])

  def _receive(self, number: int) -> None:
    if number not in _SIGNALS:
      return
    if self._number:
      os._exit(128 + number)
    self._number = number
    name = signal.Signals(number).name
    print(
      f"{name}: finishing the running loop, then saving; once more to exit at once",
      file=sys.stderr,
      flush=True,
    )


def _leave_to_the_thread(number: int, frame: FrameType | None) -> None:
  """Does nothing: the thread that reads the wake-up pipe acts."""
