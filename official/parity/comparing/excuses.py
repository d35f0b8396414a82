"""What need not be compared: with a reason, and no longer than there is something to excuse."""

from collections.abc import Sequence

from official.checkpoints import patterns
from official.cli.errors import UserError
from official.parity.case import Excuse


class Excuses:
  """Looks excuses up, and knows which were of use.

  Raises:
    UserError: an excuse has no reason, or its pattern no section.
  """

  def __init__(self, excuses: Sequence[Excuse]) -> None:
    self._excuses = tuple(excuses)
    self._used: set[Excuse] = set()
    for excuse in self._excuses:
      if not excuse.reason.strip():
        raise UserError(f"excuse '{excuse.pattern}' has no reason: say why it need not be compared")
      if "/" not in excuse.pattern:
        raise UserError(f"excuse '{excuse.pattern}' names no section: write 'output/{{path*}}'")

  def reason(self, section: str, *names: str) -> str:
    """Why the arrays under any of these names are excused; empty where they are not."""
    for excuse in self._excuses:
      if any(patterns.match(excuse.pattern, f"{section}/{name}") is not None for name in names):
        self._used.add(excuse)
        return excuse.reason
    return ""

  def stale(self) -> list[Excuse]:
    """Those that have excused nothing."""
    return [excuse for excuse in self._excuses if excuse not in self._used]
