"""Mistakes that a user can mend, told in one line."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
  """A mistake that the user can mend: what is wrong, where, and what to do, in one line.

  Commands print it as `error: …` without a traceback and exit with code 2.
  """


def nearest(name: str, known: Iterable[str]) -> str:
  """A hint such as `; did you mean 'x'?`, or the empty string where nothing is near."""
  match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
  return f"; did you mean '{match[0]}'?" if match else ""
