"""One call in a pytest."""

from typing import Any

from official.parity.case import ParityCase


def assert_parity(case: ParityCase, **options: Any) -> None:
  """Runs `case` as `session.run` does, with its options.

  Raises:
    AssertionError: the candidate is not the original; says where and, where known, why.
  """
  raise NotImplementedError
