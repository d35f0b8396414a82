"""How parity trains: the originals' figures, with rates that fall within ten steps."""

import dataclasses

CLIP_NORM = 0.01
DECAY_AFTER, DECAY_FACTOR = 6, 0.1  # Steps.
POLYNOMIAL_STEPS, POWER = 20, 0.9
WARM_UP_FACTOR = 1e-6


@dataclasses.dataclass(frozen=True)
class Recipe:
  """Figures of a training.

  Attributes:
    learning_rate: at the first step.
    weight_decay: of all but norms, embeddings and tables of relative positions.
    backbone_multiplier: of the rate of the backbone.
    polynomial: whether the rate falls as a power of what is left, to 0 after `POLYNOMIAL_STEPS`;
      otherwise it falls by `DECAY_FACTOR` after `DECAY_AFTER`.
    warmup_steps: in which it rises besides, in a line from `WARM_UP_FACTOR` of it.
  """

  learning_rate: float = 1e-4
  weight_decay: float = 1e-4
  backbone_multiplier: float = 0.1
  polynomial: bool = False
  warmup_steps: int = 0

  def settings(self) -> dict[str, float]:
    """Figures under the names that both sides use."""
    return {
      "learning rate": self.learning_rate,
      "backbone multiplier": self.backbone_multiplier,
      "weight decay": self.weight_decay,
      "clip norm": CLIP_NORM,
    }
