"""Progress of long work: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich import progress as rich_progress
from rich.console import Console

_PLAIN_INTERVAL = 10.0  # Seconds between plain lines.


class Progress:
  """Counts work done out of a total, and shows rate and time left on stderr.

  Use as a context manager:

    with Progress("converting", total=118_287, unit="images") as progress:
      for image in images:
        ...
        progress.advance()

  Args:
    description: a word or two on the work.
    total: how many units there are.
    unit: the plural name of what is counted.
    start: units that are done already (a resumed run); they do not count towards the rate.
  """

  def __init__(self, description: str, total: int, unit: str, start: int = 0) -> None:
    self._description, self._total, self._unit = description, total, unit
    self._start = self._done = start
    self._note = ""
    self._began = self._last_line = time.monotonic()
    self._bar = _bar() if sys.stderr.isatty() else None

  def __enter__(self) -> Self:
    if self._bar:
      self._bar.start()
      self._row = self._bar.add_task(
        self._description, total=self._total, completed=self._start, status=""
      )
    return self

  def advance(self, count: int = 1, note: str = "") -> None:
    """Counts `count` more units; `note` (a loss, a file name) is shown at the end of the line."""
    self._done += count
    self._note = note or self._note
    if self._bar:
      self._bar.update(self._row, completed=self._done, status=self._status())
    elif time.monotonic() - self._last_line >= _PLAIN_INTERVAL:
      self._print_line()

  def say(self, text: str) -> None:
    """Prints a line of its own without disturbing the bar."""
    if self._bar:
      self._bar.console.print(text, markup=False, highlight=False)
    else:
      print(text, file=sys.stderr, flush=True)

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    if self._bar:
      self._bar.stop()
    elif kind is None:
      self._print_line()

  def _print_line(self) -> None:
    self._last_line = time.monotonic()
    share = 100 * self._done / max(self._total, 1)
    print(
      f"{self._description}: {self._done}/{self._total} {self._unit} ({share:.0f} %), "
      f"{self._status()}, {self._time_left()}",
      file=sys.stderr,
      flush=True,
    )

  def _time_left(self) -> str:
    remaining, rate = self._total - self._done, self._rate()
    if remaining and not rate:
      return "time left unknown"
    return f"{remaining / rate if rate else 0:.0f} s left"

  def _rate(self) -> float:
    return (self._done - self._start) / max(time.monotonic() - self._began, 1e-9)

  def _status(self) -> str:
    rate = f"{self._rate():.3g} {self._unit}/s"
    return f"{rate}, {self._note}" if self._note else rate


def _bar() -> rich_progress.Progress:
  return rich_progress.Progress(
    rich_progress.TextColumn("{task.description}"),
    rich_progress.BarColumn(),
    rich_progress.MofNCompleteColumn(),
    rich_progress.TextColumn("{task.fields[status]}"),
    rich_progress.TimeRemainingColumn(),
    console=Console(stderr=True),
    transient=False,
  )
