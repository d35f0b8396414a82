"""Runs a command: quietly, with one-line errors and honest exit codes."""

import ctypes
import os
import sys
import traceback
from collections.abc import Callable

from official.cli.errors import UserError
from official.cli.later import import_later

_OWN_DEFECT = 70  # EX_SOFTWARE of sysexits.h: not to be taken for a command's own 1.
_M_ARENA_MAX = -8  # Of glibc's malloc.h.
_BROKEN_PIPE = 141  # As shells report SIGPIPE.
_UNUSED = "pandas"  # tf_keras imports it, and it takes 60 MB with pyarrow.


def prepare_tensorflow() -> None:
  """Hides the notes of TensorFlow's C++ side and leaves Keras 3 out; call before it is imported.

  Errors reach us as exceptions all the same. Nothing here uses Keras 3, which TensorFlow imports
  unless told not to: 180 MB with what it imports in turn. pandas waits until somebody asks for
  something in it. What the user has set stays.

  Two cores share a heap: glibc makes eight a core, and what is freed in one serves no other. A
  train step of MaskFormer R50 held 90 MB more on two cores.
  """
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
  os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
  import_later(_UNUSED)
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # Of glibc alone.
  if mallopt and "MALLOC_ARENA_MAX" not in os.environ:
    mallopt(_M_ARENA_MAX, max((os.cpu_count() or 1) // 2, 1))


def run(main: Callable[[], int | None]) -> None:
  """Calls `main` and leaves the process with its exit code.

  Exit codes: what `main` returns (None is 0; 1 is a command's own "no"); 2 after a `UserError`,
  which is printed as one line; 70 after anything else, which is our own defect and is printed with
  its traceback; 130 after Ctrl-C; 141 when the reader of the output has gone (`… | head`).
  """
  prepare_tensorflow()
  try:
    code = main() or 0
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    code = 2
  except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    code = 130
  except BrokenPipeError:
    code = _BROKEN_PIPE
  except Exception:
    traceback.print_exc()
    code = _OWN_DEFECT
  sys.exit(_flushed(code))


def _flushed(code: int) -> int:
  """Writes out what is still to be written; `code`, or another one where nobody reads it."""
  try:
    sys.stdout.flush()
  except BrokenPipeError:
    # Python flushes once more at the end, and would print a traceback.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _BROKEN_PIPE
  return code
