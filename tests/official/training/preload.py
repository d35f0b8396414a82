"""What the fork server of `runs.py` imports once for all runs; no operation may run here."""

from official.cli import app

app.quiet_tensorflow()

import tests.official.training.fake  # noqa: E402, F401
from official.training import runner  # noqa: E402, F401
