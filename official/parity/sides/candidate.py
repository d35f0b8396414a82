"""The candidate, recorded: on its own, fed with the original's values, and stirred."""

import functools
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np

from official.checkpoints import transfer
from official.checkpoints.transfer import Plan
from official.parity.case import Arrays, ParityCase, Side, Trainer
from official.parity.comparing.correspondence import Correspondence, to_candidate
from official.parity.comparing.verdict import EPSILON
from official.parity.recorders.keras_names import counting_anew
from official.parity.recorders.keras_recorder import KerasRecorder, to_numpy
from official.parity.recording.header import Header
from official.parity.recording.reader import Recording
from official.parity.sides import images, trajectory
from official.parity.sides.forcing import Jitter, OriginalValues
from official.parity.sides.original import demand_proofs, versions
from official.parity.sides.trajectory import WEIGHTS

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
    with counting_anew():
      self.side: Side = case.candidate(self.precision)
    self.recorder = KerasRecorder(self.side, self.seed)
    self._parameters, self._buffers = self.recorder.parameters(), self.recorder.buffers()
    weights = {name: a for section in WEIGHTS for name, a in own.section("init", section).items()}
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

  def inputs(self, step: int = 1, stir: int = 0) -> dict[str, np.ndarray]:
    """What the original was given at a training step (the passes: at the first), as ours is.

    Args:
      step: from 1.
      stir: 0, or the number of a twin whose inputs are moved by a few roundings.
    """
    recorded = trajectory.read_inputs(self._own, step)
    batch = {name: self.laid_out(name, array) for name, array in recorded.items()}
    jitter = self._jitter(stir)
    return {name: jitter(array) for name, array in batch.items()} if jitter else batch

  def laid_out(self, name: str, array: np.ndarray) -> np.ndarray:
    """An input of the original in the candidate's layout."""
    return to_candidate(self._case, name, array)

  def gradients(self, step: int, state: trajectory.State) -> dict[str, np.ndarray]:
    """Gradients of the total at the start of a training step, by parameter.

    Args:
      step: from 1.
      state: the original's before it, as the candidate's.
    """
    self._load({name: array for (section, name), array in state.items() if section in WEIGHTS})
    with self._writer(f"gradients{step}") as writer:
      self.recorder.record(self.inputs(step), writer, ["train"])
    self._load(self._transferred)
    return Recording(writer.path).section("train", "gradient")

  def record(self, phases: Sequence[str], stages: Sequence[str]) -> Recording:
    """Records the candidate on its own.

    Raises:
      UserError: it is not deterministic, or the disk is too small.
    """
    batch = self.inputs()
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
    only: Collection[str] | None = None,
  ) -> Recording:
    """Records the candidate with the original's values in place of its own at paired taps.

    Args:
      phases: "eval", "train".
      correspondence: pairs of taps.
      golden: the original's recording.
      free: the candidate's own.
      stir: 0, or the number of a twin whose values are all moved by a few roundings.
      only: taps that are given the original's; None: all.
    """
    jitter, batch = self._jitter(stir), self.inputs(stir=stir)
    with self._writer(f"{'forced' if only is None else 'pinned'}{stir or ''}") as writer:
      for phase in phases:
        values = OriginalValues(correspondence, golden, free, phase, jitter, only)
        self.recorder.record(batch, writer, [phase], forcing=values)
    return Recording(writer.path)

  def record_steps(
    self,
    steps: int,
    correspondence: Correspondence | None = None,
    stir: int = 0,
    phases: Collection[str] | None = None,
  ) -> Recording:
    """Records training steps.

    Args:
      steps: how many.
      correspondence: None: each step goes on from the one before; else each starts from the state
        in which the original started it.
      stir: 0, or the number of a twin whose inputs and weights are moved by a few roundings.
        Moving the inputs alone does not show all noise of a gradient that is next to nothing, and
        Adam divides by it.
      phases: steps that are written, of a recording that is soon removed; None: all.
    """
    trainer, start = self._trainer
    jitter = self._jitter(stir)
    trainer.load(_stirred(start, jitter))
    before = self._states(correspondence, start, jitter) if correspondence else None
    with self._writer(f"{'led' if correspondence else 'alone'}{stir or ''}") as writer:
      inputs = [self.inputs(step, stir) for step in range(1, steps + 1)]
      trajectory.record_steps(
        writer, trainer, inputs, self.recorder.tensors, to_numpy, before, phases
      )
    self._load(self._transferred)
    return Recording(writer.path, mapped=phases is None)

  @functools.cached_property
  def _trainer(self) -> tuple[Trainer, trajectory.State]:
    """The side's trainer, compiled once, and the state that it starts from."""
    self._load(self._transferred)
    trainer = self.side.trainer()
    return trainer, trainer.state()

  def _states(
    self, correspondence: Correspondence, start: trajectory.State, jitter: Jitter | None
  ) -> Callable[[int], trajectory.State]:
    """The states that the original's steps started from, as the candidate's.

    What the original does not have (slots before they are made) is as at the candidate's start.
    """

    def before(step: int) -> trajectory.State:
      state = correspondence.state(trajectory.read_state(self._own, step - 1))
      state = {key: state[key].astype(a.dtype) if key in state else a for key, a in start.items()}
      return _stirred(state, jitter)

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


def _stirred(state: trajectory.State, jitter: Jitter | None) -> trajectory.State:
  """A state whose parameters are moved by a few roundings."""
  if not jitter:
    return state
  return {key: jitter(a) if key[0] == "parameter" else a for key, a in state.items()}
