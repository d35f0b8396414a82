"""Runs a command: quietly, with one-line errors and honest exit codes."""

import os
import sys
from collections.abc import Callable

from official.cli.errors import UserError


def quiet_tensorflow() -> None:
  """Hides the notes of TensorFlow's C++ side; call before TensorFlow is imported.

  Its errors reach us as exceptions all the same. A level that the user has set stays.
  """
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def run(main: Callable[[], int | None]) -> None:
  """Calls `main` and leaves the process with its exit code.

  Exit codes: what `main` returns (None is 0); 2 after a `UserError`, which is printed as one line;
  130 after Ctrl-C. Anything else is our own defect and keeps its traceback.
  """
  quiet_tensorflow()
  try:
    code = main() or 0
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    code = 2
  except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    code = 130
  sys.stdout.flush()
  sys.exit(code)
