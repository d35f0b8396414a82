"""Tells which phase a check is in, and for how long: a live line on a terminal, lines elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

_LIVE, _PLAIN = 1.0, 30.0  # Seconds between updates.


class Phases:
  """Shows the phase that `tell` names, on stderr, until the next one. A context manager.

  Args:
    title: a word or two before the phase.
  """

  def __init__(self, title: str) -> None:
    self._title, self._phase, self._began = title, "", time.monotonic()
    self._ended = threading.Event()
    self._status: Status | None = None
    if sys.stderr.isatty():
      self._status = Console(stderr=True).status(title)

  def __enter__(self) -> Self:
    if self._status:
      self._status.start()
    self._thread = threading.Thread(target=self._tick, daemon=True)
    self._thread.start()
    return self

  def tell(self, phase: str) -> None:
    """A phase begins."""
    self._phase, self._began = phase, time.monotonic()
    self._show()

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    self._ended.set()
    self._thread.join()
    if self._status:
      self._status.stop()

  def _tick(self) -> None:
    while not self._ended.wait(_LIVE if self._status else _PLAIN):
      self._show()

  def _show(self) -> None:
    text = f"{self._title}: {self._phase}, {time.monotonic() - self._began:.0f} s"
    if self._status:
      self._status.update(text)
    else:
      print(text, file=sys.stderr, flush=True)
