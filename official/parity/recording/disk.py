"""Whether what is to be recorded fits on the disk."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from official.cli.errors import UserError
from official.parity.recording.header import TapInfo

_SPARE = 1 << 28  # Bytes left alone.


def estimate(
  taps: Iterable[TapInfo],
  parameters: Mapping[str, np.ndarray],
  phases: Iterable[str],
  steps: int,
) -> int:
  """Bytes that a recording takes: activations of each pass, their gradients, states of steps.

  Slots and averages are not known before the first step; three times the parameters are counted.
  """
  activations = sum(int(np.prod(tap.shape)) * np.dtype(tap.dtype).itemsize for tap in taps)
  weights = sum(array.nbytes for array in parameters.values())
  passes = {"eval": 1, "train": 2}
  count = sum(passes.get(phase, 0) for phase in phases)
  return count * activations + (2 + 4 * steps) * weights


def require(directory: Path, needed: int, what: str) -> None:
  """Raises UserError where `directory` has not `needed` bytes to spare."""
  free = shutil.disk_usage(directory).free - _SPARE
  if needed > free:
    raise UserError(
      f"{what} takes about {needed / 1e9:.1f} GB, and {directory} has {max(free, 0) / 1e9:.1f} GB: "
      "name a folder on a larger disk (for a run: TMPDIR), or record fewer stages or steps"
    )
