"""Orbit actions that show how training goes: loss, step rate, images per second, time left."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import tensorflow as tf

from official.cli.progress import Progress


class TrainingProgress:
  """Shows training loops as a bar (a line now and then when not on a terminal) on stderr.

  Enter it around training, and pass `trained` and `evaluated` as Orbit's actions.

  Args:
    global_step: the step variable.
    train_steps: the step at which training ends.
    batch_size: images a step, over all replicas.
    visible: whether to show anything; only one worker should.
  """

  def __init__(
    self, global_step: tf.Variable, train_steps: int, batch_size: int, visible: bool = True
  ) -> None:
    self._global_step = global_step
    self._train_steps, self._batch_size, self._visible = train_steps, batch_size, visible
    self._bar: Progress | None = None

  def __enter__(self) -> Self:
    self._step, self._time = int(self._global_step.numpy()), time.monotonic()
    if self._visible:
      self._bar = Progress("training", self._train_steps, "steps", start=self._step)
      self._bar.__enter__()
    return self

  def trained(self, output: Mapping[str, Any]) -> None:
    """After a loop: counts its steps and shows its mean loss and its speed."""
    step, now = int(self._global_step.numpy()), time.monotonic()
    steps = step - self._step
    speed = steps * self._batch_size / max(now - self._time, 1e-9)
    self._step, self._time = step, now
    if self._bar:
      self._bar.advance(steps, f"loss {float(output['training_loss']):.4g}, {speed:.3g} images/s")

  def evaluated(self, output: Mapping[str, Any]) -> None:
    """After an evaluation: prints its scalars on a line of their own."""
    line = f"step {int(self._global_step.numpy())}: {scalars(output)}"
    if self._bar:
      self._bar.say(line)
    elif self._visible:
      print(line, file=sys.stderr, flush=True)
    self._time = time.monotonic()

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    if self._bar:
      self._bar.__exit__(kind, error, trace)


def scalars(output: Mapping[str, Any]) -> str:
  """The scalars of `output` as `name value, name value`, with four digits."""
  values = {name: value for name, value in output.items() if tf.rank(value) == 0}
  return ", ".join(f"{name} {float(value):.4g}" for name, value in values.items())
