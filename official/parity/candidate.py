"""The candidate, recorded: on its own, fed with the original's values, and stirred."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from official.checkpoints import transfer
from official.checkpoints.transfer import Plan
from official.parity import images, trajectory
from official.parity.case import Arrays, ParityCase, Side
from official.parity.correspondence import Correspondence, to_candidate
from official.parity.forcing import Jitter, OriginalValues
from official.parity.keras_recorder import KerasRecorder, to_numpy
from official.parity.original import batches, demand_proofs, versions
from official.parity.recording import Header, Recording
from official.parity.verdict import EPSILON

_LIBRARIES = ("numpy", "tensorflow", "tf-keras", "tf-models-official")


class Candidate:
  """Our side of a case, with the original's weights.

  Attributes:
    side: as the case made it.
    recorder: of its network.
    plan: how the original's weights become its own.

  Args:
    case: whose candidate it is.
    own: the original's recording in the run's precision: it has the weights.
    directory: where recordings are made.

  Raises:
    TransferError: the weights do not transfer.
  """

  def __init__(self, case: ParityCase, own: Recording, directory: Path) -> None:
    self._case, self._own, self._directory = case, own, directory
    self.precision = own.header.precision
    self.seed = own.header.seed
    self.side: Side = case.candidate(self.precision)
    self.recorder = KerasRecorder(self.side, self.seed)
    self._parameters, self._buffers = self.recorder.parameters(), self.recorder.buffers()
    weights = own.section("init", "parameter") | own.section("init", "buffer")
    self.plan: Plan = transfer.plan(
      case.weights,
      {name: array.shape for name, array in weights.items()},
      {name: array.shape for name, array in (self._parameters | self._buffers).items()},
    )
    self._transferred = self.plan.forward(weights)
    self._load(self._transferred)

  def _load(self, arrays: Arrays) -> None:
    """Sets all variables, each in its own dtype."""
    self.recorder.load(
      *(
        {name: arrays[name].astype(array.dtype) for name, array in group.items()}
        for group in (self._parameters, self._buffers)
      )
    )

  def inputs(self, steps: int, jitter: Callable[[np.ndarray], np.ndarray] | None = None) -> Any:
    """The batch of the passes and those of the steps, as the candidate is given them."""
    converted = [
      {name: to_candidate(self._case, name, array) for name, array in batch.items()}
      for batch in batches(self._case, self.seed, steps, self.precision)
    ]
    if not jitter:
      return converted
    return [{name: jitter(array) for name, array in batch.items()} for batch in converted]

  def record(self, phases: Sequence[str], stages: Sequence[str]) -> Recording:
    """Records the candidate on its own.

    Raises:
      UserError: it is not deterministic, or the disk is too small.
    """
    batch = self.inputs(0)[0]
    with self._writer("candidate") as writer:
      demand_proofs(self.recorder.record(batch, writer, phases), "the candidate")
      if "postprocess" in stages:
        images.record_postprocess(writer, self.side, writer.outputs)
      if "preprocess" in stages:
        images.record_preprocess(writer, self.side, np.array(self._own.read(images.IMAGE)))
    return Recording(writer.path)

  def record_forced(
    self,
    phases: Sequence[str],
    correspondence: Correspondence,
    golden: Recording,
    free: Recording,
    stir: int = 0,
  ) -> Recording:
    """Records the candidate with the original's values in place of its own at every paired tap.

    Args:
      phases: "eval", "train".
      correspondence: pairs of taps.
      golden: the original's recording.
      free: the candidate's own.
      stir: 0, or the number of a twin whose values are all moved by a few roundings.
    """
    jitter = self._jitter(stir)
    batch = self.inputs(0, jitter)[0]
    with self._writer(f"forced{stir or ''}") as writer:
      for phase in phases:
        values = OriginalValues(correspondence, golden, free, phase, jitter)
        self.recorder.record(batch, writer, [phase], forcing=values)
    return Recording(writer.path)

  def record_steps(
    self, steps: int, correspondence: Correspondence | None = None, stir: int = 0
  ) -> Recording:
    """Records training steps.

    Args:
      steps: how many.
      correspondence: None: each step goes on from the one before; else each starts from the state
        in which the original started it.
      stir: 0, or the number of a twin whose inputs are moved by a few roundings.
    """
    self._load(self._transferred)
    trainer = self.side.trainer()
    before = self._states(correspondence, trainer.state()) if correspondence else None
    name = f"{'led' if correspondence else 'steps'}{stir or ''}"
    with self._writer(name) as writer:
      batches = self.inputs(steps, self._jitter(stir))[1:]
      trajectory.record_steps(writer, trainer, batches, self.recorder.tensors, to_numpy, before)
    self._load(self._transferred)
    return Recording(writer.path)

  def _states(
    self, correspondence: Correspondence, start: trajectory.State
  ) -> Callable[[int], trajectory.State]:
    """The states that the original's steps started from, as the candidate's.

    What the original does not have (slots before they are made) is as at the candidate's start.
    """

    def before(step: int) -> trajectory.State:
      state = correspondence.state(trajectory.read_state(self._own, step - 1))
      return {key: state[key].astype(a.dtype) if key in state else a for key, a in start.items()}

    return before

  def _jitter(self, stir: int) -> Jitter | None:
    return Jitter(EPSILON[self.precision], stir) if stir else None

  def _writer(self, name: str) -> images.OutputKeeper:
    header = Header(
      side="candidate",
      framework=self.recorder.framework,
      versions=versions(_LIBRARIES),
      precision=self.precision,
      seed=self.seed,
      case=self._case.name,
    )
    return images.OutputKeeper(self._directory / f"{name}.safetensors", header)
