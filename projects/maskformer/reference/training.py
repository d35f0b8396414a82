"""How the original trains, in PyTorch: AdamW by role, clipped as a whole, rates that fall.

Of facebookresearch/MaskFormer's `train_net.py`, written down anew for the networks of transformers.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

CLIP_NORM = 0.01

_NORMS = (nn.GroupNorm, nn.LayerNorm)
_TABLE = "relative_position_bias_table"


@dataclasses.dataclass(frozen=True)
class Recipe:
  """Figures of the training.

  Attributes:
    learning_rate: at the first step.
    weight_decay: of all but norms, embeddings and tables of relative positions.
    backbone_multiplier: of the rate of the backbone.
    schedule: step, from 0 → share of the rate.
  """

  learning_rate: float
  weight_decay: float
  backbone_multiplier: float
  schedule: Callable[[int], float]


def step_decay(step: int, boundary: int = 6) -> float:
  """A tenth from the step `boundary` on."""
  return 1.0 if step < boundary else 0.1


def polynomial(step: int, steps: int = 20) -> float:
  """Falls to zero within `steps`, as (1 − step / steps) ** 0.9."""
  return (1 - step / steps) ** 0.9


def make_optimizer(network: nn.Module, backbone: str, recipe: Recipe) -> torch.optim.AdamW:
  """One group for each rate and decay, that of most parameters first.

  Args:
    network: its parameters are trained.
    backbone: path of its backbone.
    recipe: of the training.
  """
  decayed = (recipe.learning_rate, recipe.weight_decay)
  groups: dict[tuple[float, float], list[nn.Parameter]] = {decayed: []}
  for path, module in network.named_modules():
    for name, parameter in module.named_parameters(recurse=False):
      slow = f"{path}.".startswith(f"{backbone}.")
      rate = recipe.learning_rate * (recipe.backbone_multiplier if slow else 1)
      still = isinstance(module, (*_NORMS, nn.Embedding)) or name == _TABLE
      groups.setdefault((rate, 0.0 if still else recipe.weight_decay), []).append(parameter)
  return torch.optim.AdamW(
    [
      {"params": parameters, "lr": rate, "weight_decay": decay}
      for (rate, decay), parameters in groups.items()
    ]
  )


def make_schedule(
  optimizer: torch.optim.Optimizer, recipe: Recipe
) -> torch.optim.lr_scheduler.LambdaLR:
  """Of all groups the same."""
  return torch.optim.lr_scheduler.LambdaLR(optimizer, recipe.schedule)


def clip(parameters: Any) -> None:
  """Scales the gradient of all parameters down, together."""
  nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
