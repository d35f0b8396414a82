"""Trains a PyTorch network step by step, as its project does, and tells all that a step changes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from official.parity.keys import TOTAL
from official.parity.recorders import slots
from official.parity.recorders.torch_recorder import assign, to_numpy, to_tensor

State = Mapping[tuple[str, str], np.ndarray]

_STEP = "step"  # Adam counts steps for each parameter; `rate` has the count once.


class TorchTrainer:
  """Implements `case.Trainer`.

  A step is: zero gradients, forward in training mode, backward of "total", clip, optimizer,
  schedule, average.

  `state()` has, besides parameters and buffers: slots under the names of `slots.TORCH`, once
  there are any; `("rate", "learning_rate")`, which the next step will use (and "learning_rate.1", …
  of further groups of parameters); `("rate", "steps")`, how many were made.

  Args:
    network: in the precision of the run.
    optimizer: of the network's parameters.
    losses: as `Side.losses`.
    forward: as `Side.forward`.
    schedule: stepped after each step.
    average: updated after each step; its parameters, and buffers where it averages them, are the
      section average.
    clip: clips the gradients of the parameters it is given, in place.
  """

  def __init__(
    self,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    losses: Callable[[Any, Mapping[str, Any]], Mapping[str, torch.Tensor]],
    forward: Callable[[Mapping[str, Any], bool], Any],
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    average: AveragedModel | None = None,
    clip: Callable[[Iterable[nn.Parameter]], Any] | None = None,
  ) -> None:
    self.network = network
    self.optimizer = optimizer
    self._losses = losses
    self._forward = forward
    self._schedule = schedule
    self._average = average
    self._clip = clip
    self._steps = 0

  def step(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One training step; returns the losses, as scalars without a graph."""
    self.network.train()
    self.optimizer.zero_grad()
    losses = self._losses(self._forward(batch, True), batch)
    losses[TOTAL].backward()
    if self._clip:
      self._clip(self.network.parameters())
    self.optimizer.step()
    if self._schedule:
      self._schedule.step()
    if self._average:
      self._average.update_parameters(self.network)
    self._steps += 1
    return {name: loss.detach() for name, loss in losses.items()}

  def state(self) -> dict[tuple[str, str], np.ndarray]:
    """Copies of all that a step changes; see the class."""
    state = {key: to_numpy(tensor).copy() for key, tensor in self._tensors().items()}
    for index, group in enumerate(self.optimizer.param_groups):
      state["rate", _rate_name(index)] = np.float64(group["lr"])
    state["rate", "steps"] = np.int64(self._steps)
    return state

  def load(self, state: State) -> None:
    """Goes on from `state`; slots that it has none of start anew.

    Raises:
      KeyError: parameters, buffers, averages or rates are not exactly those of `state()`.
      ValueError: a shape differs.
    """
    tensors = {key: t for key, t in self._tensors().items() if key[0] != "slot"}
    assign(
      {"/".join(key): tensor for key, tensor in tensors.items()},
      {"/".join(key): array for key, array in state.items() if key[0] not in ("slot", "rate")},
    )
    self._steps = int(state["rate", "steps"])
    for index, group in enumerate(self.optimizer.param_groups):
      group["lr"] = float(state["rate", _rate_name(index)])
    if self._schedule:
      self._schedule.last_epoch = self._steps
    if self._average:
      self._average.n_averaged.fill_(self._steps)
    self._load_slots({key[1]: array for key, array in state.items() if key[0] == "slot"})

  def _tensors(self) -> dict[tuple[str, str], torch.Tensor]:
    tensors = _parts(self.network, "parameter", "buffer")
    for name, parameter in self.network.named_parameters():
      for slot, value in self.optimizer.state.get(parameter, {}).items():
        if slot != _STEP and isinstance(value, torch.Tensor):
          tensors["slot", f"{name}|{slots.TORCH.get(slot, slot)}"] = value
    if self._average:
      averages = _parts(self._average.module, "average", "average")
      if not self._average.use_buffers:
        averages = {key: t for key, t in averages.items() if isinstance(t, nn.Parameter)}
      tensors |= averages
    return tensors

  def _load_slots(self, arrays: Mapping[str, np.ndarray]) -> None:
    own_names = {common: own for own, common in slots.TORCH.items()}
    parameters = dict(self.network.named_parameters())
    self.optimizer.state.clear()
    for name, array in arrays.items():
      parameter, slot = name.rsplit("|", 1)
      state = self.optimizer.state[parameters[parameter]]
      state[own_names.get(slot, slot)] = to_tensor(array)
    for state in self.optimizer.state.values():
      if set(state) != {"momentum_buffer"}:  # SGD alone does not count.
        state[_STEP] = torch.tensor(float(self._steps))


def _parts(module: nn.Module, parameters: str, buffers: str) -> dict[tuple[str, str], torch.Tensor]:
  """Parameters and the buffers that a checkpoint holds, under two sections."""
  kept = module.state_dict(keep_vars=True)
  found = {(parameters, name): parameter for name, parameter in module.named_parameters()}
  return found | {(buffers, name): b for name, b in module.named_buffers() if name in kept}


def _rate_name(group: int) -> str:
  return f"learning_rate.{group}" if group else "learning_rate"
