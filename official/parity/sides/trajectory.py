"""Training steps of one side, recorded: each state, and where to go on from."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from official.parity.case import Arrays, Trainer
from official.parity.keys import Key, step_phase
from official.parity.recording.reader import Recording
from official.parity.recording.writer import RecordingWriter

State = Mapping[tuple[str, str], np.ndarray]

SECTIONS = ("rate", "parameter", "buffer", "slot", "average")
WEIGHTS = ("parameter", "buffer")  # At the start they are those of the phase "init".


def record_steps(
  writer: RecordingWriter,
  trainer: Trainer,
  batches: Sequence[Arrays],
  to_tensors: Callable[[Arrays], Mapping[str, Any]],
  to_numpy: Callable[[Any], np.ndarray],
  before: Callable[[int], State] | None = None,
  phases: Collection[str] | None = None,
) -> None:
  """Takes a training step on each batch, and writes what it leaves.

  Args:
    writer: of the side's recording.
    trainer: at its first step.
    batches: in the side's layout and precision.
    to_tensors: makes tensors of a batch.
    to_numpy: makes an array of a tensor.
    before: step (from 1) → the state that the step starts from; None: from the one before it.
    phases: what is written of results; None: all.
  """

  def write(step: int, state: State) -> None:
    if phases is None or step_phase(step) in phases:
      _write(writer, step, state)

  write(0, {key: a for key, a in trainer.state().items() if key[0] not in WEIGHTS})
  for step, batch in enumerate(batches, 1):
    if step > 1:
      for name, array in batch.items():
        writer.write(Key("batch", step_phase(step), name), array)
    if before:
      trainer.load(before(step))
    losses = trainer.step(to_tensors(batch))
    write(step, {("loss", name): to_numpy(loss) for name, loss in losses.items()})
    write(step, trainer.state())


def read_state(recording: Recording, step: int) -> dict[tuple[str, str], np.ndarray]:
  """The state after training step `step`; before the first one for 0."""
  phases = {section: step_phase(step) for section in SECTIONS}
  if step == 0:
    phases |= dict.fromkeys(WEIGHTS, "init")
  return {
    (section, name): recording.read(Key(phase, section, name))
    for section, phase in phases.items()
    for name in recording.names(phase, section)
  }


def read_inputs(recording: Recording, step: int) -> dict[str, np.ndarray]:
  """What a training step was given; the first one what the passes were."""
  return recording.section("batch", step_phase(step) if step > 1 else "input")


def count_steps(recording: Recording) -> int:
  """How many training steps a recording holds."""
  phases = {key.phase for key in recording}
  return next(step for step in range(len(phases) + 1) if step_phase(step + 1) not in phases)


def _write(writer: RecordingWriter, step: int, state: State) -> None:
  for (section, name), array in state.items():
    writer.write(Key(step_phase(step), section, name), np.asarray(array))
