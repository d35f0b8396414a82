"""Writes `original.npz`: what WongKinYiu's yolov7 computes, float64, on the CPU.

    python -m tests.projects.yolo.v7.record CHECKOUT

`CHECKOUT` is a clone of https://github.com/WongKinYiu/yolov7 (GPL-3: it is run, nothing of it is
here), whose requirements are installed, under torch 2.13.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tests.projects.yolo.v7 import recipe

Named = Iterator[tuple[str, np.ndarray]]


def make_network(checkout: Path, variant: str) -> torch.nn.Module:
  """The original's, with the weights of the recipe."""
  from models.yolo import Model

  network = Model(str(checkout / f"cfg/training/yolo{variant}.yaml"), ch=3, nc=80).double()
  state = network.state_dict()
  drawn = {
    name: torch.from_numpy(recipe.weight(name, tuple(value.shape)))
    for name, value in state.items()
    if value.is_floating_point() and "anchor" not in name
  }
  network.load_state_dict(state | drawn)
  return network


def _outputs(network: torch.nn.Module, images: torch.Tensor) -> Named:
  """Of every convolution with its BatchNorm and activation, and the raw outputs, at inference."""
  from models.common import Conv, RepConv

  found: dict[str, np.ndarray] = {}
  for name, module in network.named_modules():
    if isinstance(module, Conv | RepConv):
      keep = lambda *call, name=name: found.update({name: call[-1].numpy()})
      module.register_forward_hook(keep)
  with torch.no_grad():
    _, raw = network.eval()(images)
  for name, value in found.items():
    yield f"output/{name}", recipe.sample(value)
  for index, value in enumerate(raw):
    yield f"raw/{index}", recipe.sample(value.numpy())


def _gradients(network: torch.nn.Module, images: torch.Tensor) -> Named:
  """Of a random sum of the outputs in training, and BatchNorm's statistics behind that step."""
  outputs = network.train()(images)
  terms = [
    (value * torch.from_numpy(recipe.factors(tuple(value.shape), index))).sum()
    for index, value in enumerate(outputs)
  ]
  sum(terms).backward()
  for name, parameter in network.named_parameters():
    yield f"gradient/{name}", recipe.sample(parameter.grad.numpy())
  for name, value in network.named_buffers():
    if "running" in name:
      yield f"statistic/{name}", recipe.sample(value.numpy())


def _record(checkout: Path) -> Named:
  for variant, size in recipe.SIZES.items():
    images = torch.from_numpy(recipe.images(size))
    for part in (_outputs, _gradients):
      for name, value in part(make_network(checkout, variant), images):
        yield f"{variant}/{name}", value


if __name__ == "__main__":
  sys.path.insert(0, sys.argv[1])
  np.savez_compressed(recipe.RECORDING, **dict(_record(Path(sys.argv[1]))))
