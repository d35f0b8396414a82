"""How the original trains, in PyTorch: SGD with Nesterov momentum, warm-up, cosine, an average.

As this project's experiments configure it. Against ScaledYOLOv4's own loop, warm-up treats all
parameters alike and leaves momentum alone, the cosine follows steps and not epochs, and the average
forgets by TFMG's ramp; see the project's README.
"""

import dataclasses
import math

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
    momentum: of SGD.
    weight_decay: of convolution kernels, added to their gradients.
    average_decay: share of the average that a late step keeps.
  """

  learning_rate: float
  warmup_steps: int
  decay_steps: int
  last_share: float
  momentum: float
  weight_decay: float
  average_decay: float


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
  """Two groups: convolution kernels, which decay, and the rest, which does not."""
  kernels = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
  known = {id(kernel) for kernel in kernels}
  rest = [parameter for parameter in network.parameters() if id(parameter) not in known]
  groups = [{"params": kernels, "weight_decay": recipe.weight_decay}, {"params": rest}]
  return torch.optim.SGD(groups, recipe.learning_rate, recipe.momentum, nesterov=True)


def make_schedule(
  optimizer: torch.optim.Optimizer, recipe: Recipe
) -> torch.optim.lr_scheduler.LambdaLR:
  """Rises in a line, then falls along the cosine that began at step 0."""

  def cosine(step: int) -> float:
    turn = math.pi * min(step / recipe.decay_steps, 1)
    return recipe.last_share + (1 - recipe.last_share) * (1 + math.cos(turn)) / 2

  def share(step: int) -> float:
    if step < recipe.warmup_steps:
      return step / recipe.warmup_steps * cosine(recipe.warmup_steps)
    return cosine(step)

  return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


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
