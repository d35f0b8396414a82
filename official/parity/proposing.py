"""The draft of a case's weight rules: what both sides have, in the order of their graphs."""

import numpy as np

from official.checkpoints import proposals
from official.checkpoints.proposals import Proposal
from official.checkpoints.units import Parameter
from official.parity.case import ParityCase
from official.parity.comparing.correspondence import to_candidate
from official.parity.recorders.keras_recorder import KerasRecorder
from official.parity.recorders.recorder import Batch, Recorder
from official.parity.sides.original import cast, torch_recorder

_PRECISION = "float32"


def propose(case: ParityCase, seed: int = 0) -> Proposal:
  """Draws rules up from names, shapes and order of the original and the candidate.

  Raises:
    UserError: the case has no original to run.
  """
  original = torch_recorder(case, _PRECISION, seed)
  batch = cast(case.batch(seed), _PRECISION)
  candidate = KerasRecorder(case.candidate(_PRECISION), seed)
  ours = {name: to_candidate(case, name, array) for name, array in batch.items()}
  return proposals.propose(_parameters(original, batch, "."), _parameters(candidate, ours, "/"))


def _parameters(recorder: Recorder, batch: Batch, separator: str) -> dict[str, Parameter]:
  """Parameters and buffers, those of layers that run first first."""
  order: dict[str, tuple[int, str]] = {}
  for tap in recorder.taps(batch):
    order.setdefault(tap.path, (tap.order, tap.layer))
  arrays: dict[str, np.ndarray] = recorder.parameters() | recorder.buffers()
  places = {name: order.get(name.rpartition(separator)[0], (len(order), "")) for name in arrays}
  return {
    name: Parameter(arrays[name].shape, places[name][1])
    for name in sorted(arrays, key=lambda name: places[name][0])
  }
