"""The optimizer of YOLOs, and its schedule."""

from official.training.optimizers import OptimizationConfig


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
