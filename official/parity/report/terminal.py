"""A result on the terminal: coloured there, plain text elsewhere."""

from pathlib import Path

from official.parity.result import Result


def headline(result: Result) -> list[str]:
  """The verdict, the first divergence, and its best diagnosis: one to three lines of plain text."""
  raise NotImplementedError


def print_result(result: Result, *, page: Path | None = None, full: bool = False) -> None:
  """Prints `result` on stdout.

  Args:
    result: of the run.
    page: the HTML report, if one was written; its place is the last line.
    full: opens branches of the tree that are the same too, and cuts no list short.
  """
  raise NotImplementedError
