"""Weights that do not transfer: what a name without a counterpart says about the layers.

Nothing can be tried here, so no diagnosis closes a gap; the names are all there is to go by.
"""

import re
from collections.abc import Sequence

import numpy as np

from official.parity.result import Diagnosis

_NORMALIZATION = re.compile(r"norm|(^|[/._])bn\d*|gamma|beta|moving_|running_", re.IGNORECASE)


def diagnose_transfer(problem: str, problems: Sequence[str]) -> list[Diagnosis]:
  """What may be behind one of the `problems` of a transfer ("unfilled: …", see `checkpoints`)."""
  kinds = {text.partition(":")[0] for text in problems}
  kind, _, rest = problem.partition(":")
  names = re.findall(r"'([^']*)'", rest)
  cause = _cause(kind, names[0] if names else "", kinds)
  return [Diagnosis(cause, problem, np.inf, np.inf, False)] if cause else []


def _cause(kind: str, name: str, kinds: set[str]) -> str:
  if kind == "doubled":
    return "weights_swapped"
  if kind == "misfit":
    return "kernel_transposed"
  if kind not in ("unfilled", "unused", "unknown"):
    return ""
  # A variable that waits for a weight which is there, too, under another name, lacks only a rule.
  missing = kind != "unfilled" or "unused" in kinds
  if _NORMALIZATION.search(name):
    return "normalization_missing" if missing else "normalization_extra"
  if re.search(r"bias|offset", name.lower()):
    return "bias_missing" if missing else "bias_extra"
  return "weights_swapped"
