"""How the original trains, in PyTorch: SGD with Nesterov momentum, warm-up, cosine, an average.

As this project's experiments configure it. Against ScaledYOLOv4's own loop, the cosine follows
steps and not epochs, and the average forgets by TFMG's ramp; see the project's README.
"""

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


@dataclasses.dataclass(frozen=True)
class Recipe:
  """Figures of the training.

  Attributes:
    learning_rate: at its highest.
    warmup_steps: steps over which it rises from 0.
    decay_steps: steps over which it falls along half a cosine.
    last_share: of it, that is left at the end.
    momentum: of SGD, behind the warm-up.
    first_momentum: at its beginning.
    first_bias_rate: of biases, at its beginning.
    weight_decay: of convolution kernels, added to their gradients.
    average_decay: share of the average that a late step keeps.
  """

  learning_rate: float
  warmup_steps: int
  decay_steps: int
  last_share: float
  momentum: float
  first_momentum: float
  first_bias_rate: float
  weight_decay: float
  average_decay: float


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
  """Three groups: convolution kernels, which decay, other weights, and biases."""
  kernels = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
  biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
  known = {id(parameter) for parameter in (*kernels, *biases)}
  rest = [parameter for parameter in network.parameters() if id(parameter) not in known]
  groups = [{"params": kernels, "weight_decay": recipe.weight_decay}]
  groups += [{"params": rest}, {"params": biases}]
  return torch.optim.SGD(groups, recipe.learning_rate, recipe.momentum, nesterov=True)


def make_schedule(
  optimizer: torch.optim.Optimizer, recipe: Recipe
) -> torch.optim.lr_scheduler.LambdaLR:
  """Rises in a line, then falls along the cosine that began at step 0; biases begin high.

  Momentum rises in the same steps.
  """

  def cosine(step: int) -> float:
    turn = math.pi * min(step / recipe.decay_steps, 1)
    return recipe.last_share + (1 - recipe.last_share) * (1 + math.cos(turn)) / 2

  def passed(step: int) -> float:
    return min(step / recipe.warmup_steps, 1)

  def share(step: int) -> float:
    return passed(step) * cosine(max(step, recipe.warmup_steps))

  def share_of_biases(step: int) -> float:
    return share(step) + (1 - passed(step)) * recipe.first_bias_rate / recipe.learning_rate

  def set_momentum(*_: Any) -> None:
    part = passed(schedule.last_epoch)
    for group in optimizer.param_groups:
      group["momentum"] = (1 - part) * recipe.first_momentum + part * recipe.momentum

  shares = [share, share, share_of_biases]
  schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, shares)
  optimizer.register_step_pre_hook(set_momentum)
  return schedule


class Average(AveragedModel):
  """Moving averages of parameters and statistics, from their start on."""

  def __init__(self, network: nn.Module, decay: float) -> None:
    super().__init__(network, use_buffers=True)
    self.decay = decay

  @torch.no_grad()
  def update_parameters(self, model: nn.Module) -> None:
    """After a step: each average keeps less in the first steps, and `decay` in the end."""
    self.n_averaged += 1
    steps = int(self.n_averaged)
    kept = min(self.decay, (1 + steps) / (10 + steps))
    own = self.module.state_dict()
    for name, value in model.state_dict().items():
      if value.dtype.is_floating_point:
        own[name].mul_(kept).add_(value, alpha=1 - kept)


def times_images(loss: Tensor, images: int) -> Tensor:
  """`loss`, whose gradient is that of loss × images: what the original differentiates."""
  return loss * images - (loss * (images - 1)).detach()
