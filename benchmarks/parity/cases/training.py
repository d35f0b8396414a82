"""Both sides' trainers: AdamW by role, clipped as a whole, a tenth of the rate after two steps."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras
import torch

from benchmarks.parity.blocks.adamw import AdamW
from benchmarks.parity.blocks.training import (
  BACKBONE_MULTIPLIER,
  CLIP_NORM,
  WEIGHT_DECAY,
  StepDecay,
  Training,
  groups,
)
from official.parity.recorders.keras_trainer import TaskTrainer
from official.parity.recorders.torch_trainer import TorchTrainer

RATE, BOUNDARY = 1e-3, 2

_NORMS = (torch.nn.BatchNorm2d, torch.nn.GroupNorm, torch.nn.LayerNorm)
_BACKBONE = "pixel_level_module.encoder."


def original(
  module: torch.nn.Module,
  losses: Callable[..., Mapping[str, torch.Tensor]],
  forward: Callable[..., Any],
) -> TorchTrainer:
  """The original's, with PyTorch's own optimizer, clipping and schedule."""
  optimizer = torch.optim.AdamW(_parameter_groups(module), lr=RATE)
  return TorchTrainer(
    module,
    optimizer,
    losses,
    forward,
    schedule=torch.optim.lr_scheduler.MultiStepLR(optimizer, [BOUNDARY], 0.1),
    clip=lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM),
  )


def ours(
  layer: tf_keras.layers.Layer,
  losses: Callable[..., Mapping[str, tf.Tensor]],
  call: Callable[..., Any],
) -> TaskTrainer:
  """Ours."""
  return TaskTrainer(
    Training(call, losses), layer, lambda: AdamW(StepDecay(RATE, BOUNDARY), groups(layer))
  )


def _parameter_groups(module: torch.nn.Module) -> list[dict[str, Any]]:
  """Parameters by their decay and rate, the commonest group first."""
  found: dict[tuple[float, float], list[torch.nn.Parameter]] = {(1.0, WEIGHT_DECAY): []}
  for path, part in module.named_modules():
    for name, parameter in part.named_parameters(recurse=False):
      embedding = isinstance(part, torch.nn.Embedding) or name == "relative_position_bias_table"
      decay = 0.0 if embedding or isinstance(part, _NORMS) else WEIGHT_DECAY
      multiplier = BACKBONE_MULTIPLIER if _BACKBONE in f"{path}." else 1.0
      found.setdefault((multiplier, decay), []).append(parameter)
  return [
    {"params": parameters, "lr": RATE * multiplier, "weight_decay": decay}
    for (multiplier, decay), parameters in found.items()
  ]
