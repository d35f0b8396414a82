"""What the fork server of `runs.py` imports once for all runs; no operation may run here."""

import sys
import types

from official.cli import app

app.prepare_tensorflow()
# The tiny experiment needs no project.
sys.modules["projects.registry"] = types.ModuleType("projects.registry")

import tests.official.training.fake  # noqa: E402, F401
from official.training import runner  # noqa: E402, F401
