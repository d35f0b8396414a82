"""What is wrong with the input: stop at the first, or skip, count and list."""

from official.cli.errors import UserError


class BadInput(Exception):
  """One image or annotation that cannot be used; says why, not where."""


class Problems:
  """Collects problems of the input, or stops at the first.

  Args:
    stop: whether the first problem raises.

  Attributes:
    found: one line a problem, each naming the file and the id.
  """

  def __init__(self, stop: bool) -> None:
    self.stop = stop
    self.found: list[str] = []

  def report(self, problem: str) -> None:
    """Notes a problem.

    Raises:
      UserError: with the problem, where the first is to stop the work.
    """
    if self.stop:
      raise UserError(f"{problem} (--on-error skip leaves it out)")
    self.found.append(problem)
