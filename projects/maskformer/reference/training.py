"""How the original trains, in PyTorch: AdamW by role, clipped as a whole, rates that fall.

Of facebookresearch/MaskFormer's `train_net.py`, written down anew for the networks of transformers.
"""

from typing import Any

import torch
from torch import nn

from projects.maskformer.reference import recipe as figures
from projects.maskformer.reference.recipe import Recipe

_NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
_TABLE = "relative_position_bias_table"


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

  def share(step: int) -> float:
    risen = min(step / recipe.warmup_steps, 1.0) if recipe.warmup_steps else 1.0
    warmth = figures.WARM_UP_FACTOR * (1 - risen) + risen
    if recipe.polynomial:
      return warmth * (1 - step / figures.POLYNOMIAL_STEPS) ** figures.POWER
    return warmth * (figures.DECAY_FACTOR if step >= figures.DECAY_AFTER else 1.0)

  return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def clip(parameters: Any) -> None:
  """Scales the gradient of all parameters down, together."""
  nn.utils.clip_grad_norm_(parameters, figures.CLIP_NORM)
