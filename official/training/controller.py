"""Orbit's Controller, restartable at any step without drifting."""

import time
from collections.abc import Callable
from typing import Any

import orbit
import tensorflow as tf

from official.cli.errors import UserError
from official.training import checkpoints
from official.training.interruption import Interrupted, Interruption
from official.training.trainer import Trainer

_POLL_SECONDS = 1.0


class Controller(orbit.Controller):
  """Drives loops of steps, checkpoints and evaluations.

      restore the checkpoint named, or initialize
      while step < train_steps:
        train to the next multiple of the validation interval, loop by loop; after each loop:
          stop if a value was not finite; save if due; stop if asked to
        evaluate

  Deviates from Orbit's in that
  - evaluations and checkpoints happen at multiples of their intervals, whatever the step that a
    run resumes at;
  - a run that resumes at such a multiple evaluates first: the kill may have come before the
    evaluation;
  - time spent evaluating is not counted into steps per second.

  Args:
    restore_from: prefix of the checkpoint to go on from, or None to initialize.
    interruption: tells when to stop; None never stops.
  """

  def __init__(
    self, *, restore_from: str | None, interruption: Interruption | None, **kwargs: Any
  ) -> None:
    self._restore_from = restore_from
    self._interruption = interruption
    self._saved_step = checkpoints.step(restore_from) if restore_from else 0
    super().__init__(**kwargs)

  def restore_checkpoint(self, checkpoint_path: str | None = None) -> str | None:
    """Restores from `checkpoint_path` or what the constructor was given, or initializes.

    Raises:
      UserError: the checkpoint is not of this model.
    """
    model: Trainer = self.evaluator or self.trainer
    path = checkpoint_path or self._restore_from
    with self.strategy.scope():
      if path is None:
        model.initialize()
        return None
      _restore(self.checkpoint_manager.checkpoint, path, whole=self.trainer is not None)
      if not checkpoints.has_averages(path):
        model.start_averages()
    return path

  def train_and_evaluate(
    self, train_steps: int, eval_steps: int = -1, eval_interval: int | None = None
  ) -> dict[str, Any] | None:
    """Trains up to the global step `train_steps`, evaluating at multiples of `eval_interval`.

    Returns:
      The last evaluation's metrics.
    """
    interval = eval_interval or train_steps
    step = int(self.global_step.numpy())
    output = None
    if step and (step % interval == 0 or step >= train_steps):
      output = self.evaluate(eval_steps)
    while step < train_steps:
      step = min(train_steps, (step // interval + 1) * interval)
      self.train(step, checkpoint_at_completion=step == train_steps)
      output = self.evaluate(eval_steps)
    return output

  def train(self, steps: int, checkpoint_at_completion: bool = True) -> None:
    """Trains up to the global step `steps`; a stop asked for is obeyed, after saving."""
    self._or_save(super().train, steps, checkpoint_at_completion)

  def evaluate(self, steps: int = -1) -> dict[str, Any] | None:
    """Evaluates `steps` batches (-1: all); a stop asked for is obeyed, after saving."""
    output = self._or_save(super().evaluate, steps)
    self._idle_since = time.monotonic()
    if self.trainer and self.step_timer:
      self.step_timer.start()
    return output

  def evaluate_continuously(
    self,
    steps: int = -1,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
  ) -> dict[str, Any] | None:
    """Evaluates each new checkpoint, until none has come for `timeout` seconds and `timeout_fn`
    (if given) agrees; a stop asked for is obeyed within seconds."""
    self._idle_since = time.monotonic()

    def give_up() -> bool:
      self._check_interruption()
      expired = timeout is not None and time.monotonic() - self._idle_since > timeout
      return expired and (timeout_fn is None or timeout_fn())

    return super().evaluate_continuously(steps, _POLL_SECONDS, give_up)

  def _or_save(self, work: Callable, *args: Any) -> Any:
    try:
      self._check_interruption()
      return work(*args)
    except Interrupted:
      if self.trainer:
        self._save()
      raise

  def _train_n_steps(self, num_steps: int) -> None:
    super()._train_n_steps(num_steps)
    self.trainer.watch.check()

  def _maybe_save_checkpoint(self, check_interval: bool = True) -> bool:
    interval = self.checkpoint_manager.checkpoint_interval
    due = int(self.global_step.numpy()) // interval > self._saved_step // interval
    saved = (due or not check_interval) and self._save()
    self._check_interruption()
    return saved

  def _save(self) -> bool:
    step = int(self.global_step.numpy())
    if step == self._saved_step:
      return False
    self.trainer.align_replicas()
    self._saved_step = step
    return super()._maybe_save_checkpoint(check_interval=False)

  def _check_interruption(self) -> None:
    if self._interruption:
      self._interruption.check()


def _restore(checkpoint: tf.train.Checkpoint, path: str, whole: bool) -> None:
  """Restores; a missing optimizer is an error only if `whole`."""
  model = tf.train.Checkpoint(model=checkpoint.model, global_step=checkpoint.global_step)
  try:
    status = checkpoint.restore(path)
    (status if whole else model.restore(path)).assert_existing_objects_matched()
    status.expect_partial()
  except (AssertionError, ValueError) as error:
    raise UserError(
      f"{path} was saved by another model ({str(error).splitlines()[0]}); "
      "name another --model_dir, or the settings it was trained with"
    ) from error
