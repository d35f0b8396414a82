"""Why a checkpoint cannot be read."""

import contextlib
from collections.abc import Iterator

from official.cli.errors import UserError

DAMAGED = "copy or download it again"
UNTRUSTED = "do not load it elsewhere either; ask for its weights as safetensors or a state_dict"
UNSUPPORTED = "save its weights as safetensors or a plain state_dict and read that"


class Unreadable(Exception):
  """A file, or an array in it, cannot be read: a UserError as soon as the file's name is known.

  Args:
    reason: what is wrong, a clause that follows "cannot read FILE: ".
    remedy: what to do about it.
  """

  def __init__(self, reason: str, remedy: str = DAMAGED) -> None:
    super().__init__(f"{reason}; {remedy}")


def shown(text: object, limit: int = 60) -> str:
  """`text`, which the file says, as one short line that cannot play tricks on a terminal."""
  line = ascii(text[:limit]) if isinstance(text, str) else ascii(str(text))[1:-1]
  return line if len(line) <= limit else f"{line[: limit - 1]}…"


@contextlib.contextmanager
def naming(what: object) -> Iterator[None]:
  """Turns an `Unreadable` into a `UserError` that says `what` cannot be read: a file, an array."""
  try:
    yield
  except Unreadable as problem:
    raise UserError(f"cannot read {what}: {problem}") from problem
