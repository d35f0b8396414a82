"""One call in a pytest."""

from typing import Any

from official.parity import session
from official.parity.case import ParityCase
from official.parity.report import terminal


def assert_parity(case: ParityCase, **options: Any) -> None:
  """Runs `case` as `session.run` does, with its options.

  Raises:
    AssertionError: the candidate is not the original; says where and, where known, why.
  """
  result = session.run(case, **options)
  if not result.same:
    raise AssertionError("\n".join(terminal.headline(result)))
