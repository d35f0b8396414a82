"""How long an experiment trains, how often it evaluates, and what it keeps."""

from official.core import config_definitions as cfg
from official.training.optimizers import OptimizationConfig


def trainer_config(
  steps: int, steps_per_loop: int, interval: int, optimizer: OptimizationConfig, best: str
) -> cfg.TrainerConfig:
  """Evaluates on all data and keeps a checkpoint every `interval` steps, and the best one.

  Args:
    steps: of training.
    steps_per_loop: between two looks at the clock, and two lines of summaries.
    interval: see above.
    optimizer: and its schedule.
    best: the metric of evaluation that is to be large.
  """
  return cfg.TrainerConfig(
    train_steps=steps,
    validation_steps=-1,
    validation_interval=interval,
    steps_per_loop=steps_per_loop,
    summary_interval=steps_per_loop,
    checkpoint_interval=interval,
    best_checkpoint_export_subdir="best",
    best_checkpoint_eval_metric=best,
    optimizer_config=optimizer,
  )
