"""A result as one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from official.parity.report.arrays import BlamedArrays
from official.parity.result import Result


def write_page(result: Result, directory: Path, arrays: Sequence[BlamedArrays] = ()) -> Path:
  """Writes `directory`/index.html, atomically, and returns its path.

  Args:
    result: of the run.
    directory: is made where it is missing.
    arrays: of blamed findings, where they are at hand; each is drawn beside its blame. Those that
      belong to no blame are left out.

  Raises:
    UserError: when the system refuses to write.
  """
  raise NotImplementedError
