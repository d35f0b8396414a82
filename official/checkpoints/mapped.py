"""Files as memory: read-only, and from disk only where it is touched."""

import mmap
import stat
from pathlib import Path

from official.checkpoints.problems import Unreadable


def map_file(path: Path) -> memoryview:
  """The bytes of `path`.

  Raises:
    Unreadable: it is no regular file, is empty, or the system refuses.
  """
  try:
    # Asked first: opening a pipe would wait for ever.
    if not stat.S_ISREG(path.stat().st_mode):
      raise Unreadable("it is no regular file", "name the file that holds the weights")
    with open(path, "rb") as file:
      if not path.stat().st_size:
        raise Unreadable("it is empty")
      return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
  except (OSError, ValueError) as error:  # ValueError: a NUL in the path.
    reason = getattr(error, "strerror", None) or str(error)
    raise Unreadable(reason, "check the path and its permissions") from error
