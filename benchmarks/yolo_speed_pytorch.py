"""The originals' side of `yolo_speed.py`, in PyTorch: Darknet's v4-csp and WongKinYiu's YOLOv7.

YOLOv7's program (https://github.com/WongKinYiu/yolov7) is GPL-3: it is run from a checkout, nothing
of it is here.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from projects.yolo.reference import training
from projects.yolo.reference.darknet import CFG, Darknet
from projects.yolo.reference.loss import Gains, compute_loss

_RECIPE = training.Recipe(
  learning_rate=0.01,
  warmup_steps=1,
  decay_steps=1,
  last_share=0.2,
  momentum=0.937,
  first_momentum=0.8,
  first_bias_rate=0.1,
  weight_decay=0.0005,
  average_decay=0.9999,
)
# What yolov7's modules import at their top, and its network and its loss do not use.
_UNUSED = ("seaborn", "torchvision", "torchvision.ops", "torchvision.utils")

Loss = Callable[[Any], Tensor]


def make_step(
  variant: str, work: str, scene: Mapping[str, np.ndarray], gain: float, checkout: str
) -> Callable[[], Any]:
  """One forward pass or train step; arguments are `yolo_speed.make_our_step`'s, and the checkout.

  Args:
    variant: "v4-csp", or "v7" and others that yolov7 has.
    work: "forward", "deployed" or "train".
    scene: as of `yolo_speed.make_scene`.
    gain: what kernels are multiplied by.
    checkout: root of a working tree of yolov7.
  """
  data = {name: torch.from_numpy(array) for name, array in scene.items()}
  data["images"] = data["images"].permute(0, 3, 1, 2).contiguous()
  if variant.startswith("v4"):
    network = Darknet(CFG / f"yolo{variant}.cfg")
    loss = _scaled_loss(network, data)
  else:
    network = _yolov7(Path(checkout), variant)
    loss = _dynamic_loss(network, data)
  for module in network.modules():
    if isinstance(module, nn.Conv2d):
      module.weight.data *= gain
  if work == "train":
    return _train_step(network.train(), loss, data["images"])
  if work == "deployed":
    with torch.no_grad():
      network.fuse()
  return _forward(network, data["images"])


def _forward(network: nn.Module, images: Tensor) -> Callable[[], Any]:
  network.eval()

  @torch.no_grad()
  def step() -> Any:
    return network(images)

  return step


def _train_step(network: nn.Module, loss: Loss, images: Tensor) -> Callable[[], Any]:
  optimizer = training.make_optimizer(network, _RECIPE)

  def step() -> Any:
    optimizer.zero_grad(set_to_none=True)
    total = loss(network(images))
    total.backward()
    optimizer.step()
    return total

  return step


def _scaled_loss(network: Darknet, data: Mapping[str, Tensor]) -> Loss:
  heads = {level: network.layers[index] for level, index in network.heads.items()}
  labels = [data[name] for name in ("boxes", "classes", "valid")]
  return lambda outputs: compute_loss(outputs, heads, *labels, Gains())["total"]


def _yolov7(checkout: Path, variant: str) -> nn.Module:
  """The network of training, with the gains of its `data/hyp.scratch.p5.yaml`."""
  sys.path.insert(0, str(checkout))
  for name in _UNUSED:
    try:
      importlib.import_module(name)
    except (ImportError, RuntimeError):  # torchvision does not load beside other builds of torch.
      sys.modules[name] = mock.MagicMock()
  from models.yolo import Model

  network = Model(str(checkout / f"cfg/training/yolo{variant}.yaml"), ch=3, nc=80)
  network.hyp = yaml.safe_load((checkout / "data/hyp.scratch.p5.yaml").read_text())
  network.hyp["label_smoothing"], network.gr = 0.0, 1.0
  return network


def _dynamic_loss(network: nn.Module, data: Mapping[str, Tensor]) -> Loss:
  from utils.loss import ComputeLossOTA

  image, item = data["valid"].nonzero(as_tuple=True)
  ymin, xmin, ymax, xmax = data["boxes"][image, item].unbind(1)
  sides = [(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin]
  classes = data["classes"][image, item]
  targets = torch.stack([image.float(), classes.float(), *sides], dim=1)
  loss = ComputeLossOTA(network)
  return lambda outputs: loss(outputs, targets, data["images"])[0]
