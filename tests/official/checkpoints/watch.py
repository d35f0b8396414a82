"""Sees what Python does while a file is read: the canary of the tests of malicious files."""

import contextlib
import sys

# What reading a file has no business with. Their arguments do not matter.
_ALARMS = (
  *("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pty.", "urllib.", "webbrowser."),
  *(
    "exec",
    "compile",
    "import",
    "marshal.",
    "pickle.",
    "code.",
    "builtins.in",
    "builtins.br",
    "sys.",
  ),
  *("tempfile.", "glob.", "ftplib.", "smtplib.", "http."),
)
_seen: list[str] | None = None


def _hook(event, arguments):
  if _seen is None:
    return
  if event.startswith(_ALARMS):
    _seen.append(f"{event} {arguments}")
  if event == "open" and set(str(arguments[1])) - set("rb"):
    _seen.append(f"{event} {arguments}")


sys.addaudithook(_hook)


@contextlib.contextmanager
def watched():
  """Yields the list of what was done within that could run code or change something."""
  global _seen
  _seen = []
  try:
    yield _seen
  finally:
    _seen = None
