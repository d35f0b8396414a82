"""Builds and runs an experiment: TFMG's runner, resumable at any step."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import orbit
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.core import base_task, config_definitions, train_lib, train_utils
from official.training import best, checkpoints
from official.training.controller import Controller
from official.training.interruption import Interruption
from official.training.progress import TrainingProgress
from official.training.summaries import SummaryManager
from official.training.trainer import Trainer


class ExperimentRunner(train_lib.OrbitExperimentRunner):
  """Runs `task` in `mode`, going on from the newest whole checkpoint in `model_dir`.

  The training data set is built for the step that the run resumes at: the task's `build_inputs`
  takes `start_step`, and its data are a function of (seed, step) alone. With that, and with the
  rest of the state in the checkpoint, a run that was killed ends as an undisturbed one.

  Args:
    strategy: what to distribute over.
    task: a task whose `build_inputs(params, input_context, start_step)` starts at any step.
    mode: `train`, `eval`, `train_and_eval`, `train_and_post_eval` or `continuous_eval`.
    params: the experiment.
    model_dir: where checkpoints, summaries and the best checkpoint are.
    interruption: tells when to stop; None never stops.
  """

  def __init__(
    self,
    strategy: tf.distribute.Strategy,
    task: base_task.Task,
    mode: str,
    params: config_definitions.ExperimentConfig,
    model_dir: str,
    interruption: Interruption | None = None,
  ) -> None:
    self._interruption = interruption
    self._restore_from = checkpoints.newest_whole(model_dir)
    if mode == "eval" and not (self._restore_from or params.task.init_checkpoint):
      raise UserError(f"no checkpoint in {model_dir}: nothing to evaluate")
    self._is_chief = strategy.extended.should_checkpoint
    if "train" in mode and self._is_chief and self._restore_from:
      checkpoints.make_newest(self._restore_from)
    super().__init__(
      strategy,
      task,
      mode,
      params,
      model_dir,
      save_summary=strategy.extended.should_save_summary,
    )

  def run(self) -> tuple[tf_keras.Model, Mapping[str, Any]]:
    """Runs to the end.

    Returns:
      The model, and the metrics of the last evaluation (empty if there was none).

    Raises:
      Interrupted: a stop was asked for; the checkpoint is saved.
      Diverged: a value was not finite; the checkpoints are from before it.
    """
    training = self._progress if "train" in self._mode else contextlib.nullcontext()
    with self.strategy.scope(), training:
      metrics = self._run()
    return self.trainer.model, metrics or {}

  def _run(self) -> Mapping[str, Any] | None:
    settings = self.params.trainer
    if self._mode == "train_and_eval":
      return self.controller.train_and_evaluate(
        settings.train_steps, settings.validation_steps, settings.validation_interval
      )
    if self._mode == "continuous_eval":
      return self.controller.evaluate_continuously(
        settings.validation_steps, settings.continuous_eval_timeout, self._is_trained
      )
    if "train" in self._mode:
      self.controller.train(settings.train_steps)
    if "eval" in self._mode:
      return self.controller.evaluate(settings.validation_steps)
    return None

  def _is_trained(self) -> bool:
    return int(self.trainer.global_step.numpy()) >= self.params.trainer.train_steps

  def _build_trainer(self, task: base_task.Task, train: bool, evaluate: bool) -> Trainer:
    with self.strategy.scope():
      return Trainer(
        self.params,
        task,
        model=task.build_model(),
        optimizer=train_utils.create_optimizer(task, self.params),
        train=train,
        evaluate=evaluate,
        train_dataset=self._train_dataset(task) if train else None,
        checkpoint_exporter=best.exporter(self.params, self._writable_dir()) if evaluate else None,
        interruption=self._interruption,
      )

  def _train_dataset(self, task: base_task.Task) -> tf.distribute.DistributedDataset:
    return orbit.utils.make_distributed_dataset(
      self.strategy,
      task.build_inputs,
      self.params.task.train_data,
      start_step=checkpoints.step(self._restore_from) if self._restore_from else 0,
    )

  def _writable_dir(self) -> str:
    # Saving reads variables in step with all workers, so each saves; only the chief's is kept.
    return self.model_dir if self._is_chief else tempfile.mkdtemp()

  def _build_controller(self, trainer: Trainer | None, evaluator: Trainer, **kwargs: Any) -> Any:
    settings, step = self.params.trainer, self.trainer.global_step
    self._progress = TrainingProgress(
      step,
      settings.train_steps,
      self.params.task.train_data.global_batch_size,
      visible=self._is_chief,
    )
    summaries = kwargs["save_summary"]
    eval_dir = os.path.join(self.model_dir, settings.validation_summary_subdir)
    eval_dir = eval_dir if summaries else None
    return Controller(
      restore_from=self._restore_from,
      interruption=self._interruption,
      strategy=self.strategy,
      trainer=trainer,
      evaluator=evaluator,
      global_step=step,
      steps_per_loop=settings.steps_per_loop,
      checkpoint_manager=self.checkpoint_manager,
      summary_dir=os.path.join(self.model_dir, "train") if summaries else None,
      summary_interval=settings.summary_interval if summaries else None,
      train_actions=[self._progress.trained],
      eval_actions=[self._progress.evaluated],
      eval_summary_dir=eval_dir,
      eval_summary_manager=SummaryManager(eval_dir, step),
    )
