"""Appends arrays to a file while the program goes on computing."""

import collections
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

import numpy as np

_IN_FLIGHT = 256 << 20  # Bytes that may wait for the disk.


class Appender:
  """Writes to `file` in another thread, in order; a slow disk holds the program up only then.

  An error of the disk is raised by the call after it, or by `wait`.
  """

  def __init__(self, file: BinaryIO) -> None:
    self._file = file
    self._thread = ThreadPoolExecutor(1)
    self._waiting: collections.deque[tuple[Future, int]] = collections.deque()
    self._bytes = 0

  def append(self, data: np.ndarray) -> None:
    """Takes a copy of `data`, bytes."""
    self._settle(_IN_FLIGHT - data.nbytes)
    self._waiting.append((self._thread.submit(self._file.write, data.copy()), data.nbytes))
    self._bytes += data.nbytes

  def wait(self) -> None:
    """Returns when everything is in the file, for others to read too."""
    self._settle(0)
    self._file.flush()

  def close(self) -> None:
    """Ends the thread; what has not begun to be written is forgotten."""
    self._thread.shutdown(cancel_futures=True)

  def _settle(self, limit: int) -> None:
    """Waits until no more than `limit` bytes are in flight, or none."""
    while self._waiting and (self._bytes > limit or self._waiting[0][0].done()):
      future, size = self._waiting.popleft()
      self._bytes -= size
      future.result()
