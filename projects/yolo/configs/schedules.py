"""How long YOLOs are trained, by what optimizer, and what is kept."""

from official.core import config_definitions as cfg
from official.training.optimizers import OptimizationConfig


def trainer(
  steps: int,
  steps_per_loop: int,
  validation_interval: int,
  optimizer: OptimizationConfig,
) -> cfg.TrainerConfig:
  """Evaluates and keeps a checkpoint every `validation_interval` steps; the best one is by AP."""
  return cfg.TrainerConfig(
    train_steps=steps,
    validation_steps=-1,
    validation_interval=validation_interval,
    steps_per_loop=steps_per_loop,
    summary_interval=steps_per_loop,
    checkpoint_interval=validation_interval,
    best_checkpoint_export_subdir="best",
    best_checkpoint_eval_metric="AP",
    optimizer_config=optimizer,
  )


def sgd(
  learning_rate: float, steps: int, warmup_steps: int, last_share: float, average_decay: float
) -> OptimizationConfig:
  """ScaledYOLOv4's optimizer: Nesterov momentum, warm-up, cosine decay, averaged weights."""
  cosine = {"initial_learning_rate": learning_rate, "decay_steps": steps, "alpha": last_share}
  return OptimizationConfig(
    {
      "optimizer": {"type": "sgd_torch", "sgd_torch": {"momentum": 0.937, "nesterov": True}},
      "ema": {"average_decay": average_decay, "trainable_weights_only": False},
      "learning_rate": {"type": "cosine", "cosine": cosine},
      "warmup": {"type": "linear", "linear": {"warmup_steps": warmup_steps}},
    }
  )
