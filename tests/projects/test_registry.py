"""Registration is an import, and an import must leave TensorFlow's runtime untouched."""

import subprocess
import sys

_CODE = """
import projects.registry
from tensorflow.python.eager import context
raise SystemExit(context.context()._initialized)
"""


def test_registering_runs_no_operation():
  # Several workers configure their collectives at start-up, before the first operation.
  result = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True)
  assert result.returncode == 0, result.stderr
