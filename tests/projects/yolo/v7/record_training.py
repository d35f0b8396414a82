"""Writes `training.npz`: ten steps of WongKinYiu's yolov7, float64, on the CPU.

    python -m tests.projects.yolo.v7.record_training CHECKOUT

`CHECKOUT` is as `record.py` says. The groups of parameters, the gains and the warm-up are lines of
the original's own `train.py` (v7-w6: `train_aux.py`), run here one by one; what is set is that the
nominal batch is the batch, that the warm-up is short and that rates are a share of the published.
The losses are as `v7_recipe.load` makes them, without the 1e-7 of CIoU.

Names: VARIANT/terms [steps, 3] (box, objectness, class), VARIANT/change/NAME samples of what
the steps added to each parameter and statistic, VARIANT/floor: by how much of its largest value
another order of the two images, which is other rounding alone, changes any of them.
"""

import ast
import importlib
import math
import pathlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml

from tests.projects.yolo.losses import v7_recipe
from tests.projects.yolo.v7 import recipe
from tests.projects.yolo.v7.record import make_network

GAINS = {"v7-tiny": "tiny", "v7": "p5", "v7-w6": "p6"}
LOSSES = {"v7-tiny": "ComputeLossOTA", "v7": "ComputeLossOTA", "v7-w6": "ComputeLossAuxOTA"}


class Script:
  """Lines of the original's `train`, run in one namespace."""

  def __init__(self, path: pathlib.Path, **names: Any) -> None:
    tree = ast.parse(path.read_text())
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    self._train = next(each for each in functions if each.name == "train")
    self.names = {"nn": torch.nn, "optim": torch.optim, "np": np, "math": math, **names}

  def run(self, is_wanted: Callable[[str], bool]) -> None:
    """Runs the statements whose first line is wanted, but not those within them."""
    left = list(self._train.body)
    while left:
      statement = left.pop(0)
      if is_wanted(ast.unparse(statement).split("\n")[0]):
        exec(ast.unparse(statement), self.names)
      elif isinstance(statement, ast.For):
        left = statement.body + left


def _is_setup(line: str) -> bool:
  starts = ("pg0, pg1", "for k, v in model.named_modules", "if opt.adam", "optimizer.add", "nl =")
  return line.startswith((*starts, "hyp['box'] *=", "hyp['cls'] *=", "hyp['obj'] *="))


def _train(checkout: pathlib.Path, losses: Any, variant: str, order: list[int]) -> Iterator[Any]:
  """(name, array) of the training with the images in this order."""
  network, size = make_network(checkout, variant).train(), recipe.SIZES[variant]
  hyper = yaml.safe_load((checkout / f"data/hyp.scratch.{GAINS[variant]}.yaml").read_text())
  for name in ("lr0", "warmup_bias_lr"):
    hyper[name] *= recipe.RATE_SHARE
  script = Script(
    checkout / ("train_aux.py" if variant == "v7-w6" else "train.py"),
    model=network, hyp=hyper, opt=types.SimpleNamespace(adam=False), nc=80, imgsz=size,
    nw=recipe.WARMUP, nbs=2, total_batch_size=2, epoch=0, lf=lambda epoch: 1.0,
  )  # fmt: skip
  script.run(_is_setup)
  optimizer = script.names["optimizer"]
  for group in optimizer.param_groups:  # What a scheduler's beginning leaves there.
    group["initial_lr"] = group["lr"]
  network.hyp, network.gr = hyper | {"label_smoothing": 0.0}, 1.0
  loss = getattr(losses, LOSSES[variant])(network)
  images = torch.from_numpy(recipe.images(size))[order]
  targets = v7_recipe.targets(recipe.SCENE)
  targets[:, 0] = torch.tensor(order).double()[targets[:, 0].long()]
  terms = []
  for step in range(recipe.STEPS):
    script.names["ni"] = step
    script.run(lambda line: line == "if ni <= nw:")
    total, items = loss(network(images), targets, images)
    total.backward()
    optimizer.step()
    optimizer.zero_grad()
    terms.append(items[:3].numpy())
  yield "terms", np.array(terms)
  for name, value in network.state_dict().items():
    if value.is_floating_point() and "anchor" not in name:
      yield f"change/{name}", recipe.change(name, value.numpy())


def _record(checkout: pathlib.Path) -> Iterator[tuple[str, np.ndarray]]:
  importlib.import_module("models.yolo")  # While what it imports is whole.
  losses, general = v7_recipe.load(checkout)
  general.bbox_iou.__defaults__ = (*general.bbox_iou.__defaults__[:-1], 0.0)
  with mock.patch.object(torch, "topk", v7_recipe.topk):
    for variant in recipe.SIZES:
      found = dict(_train(checkout, losses, variant, [0, 1]))
      other = dict(_train(checkout, losses, variant, [1, 0]))
      floor = max(recipe.difference(other[name], found[name]) for name in found)
      print(variant, f"floor {floor:.1e}", found["terms"][[0, -1]], flush=True)
      yield f"{variant}/floor", np.float64(floor)
      yield from ((f"{variant}/{name}", value) for name, value in found.items())


if __name__ == "__main__":
  torch.set_default_dtype(torch.float64)
  sys.path.insert(0, sys.argv[1])
  arrays = dict(_record(pathlib.Path(sys.argv[1])))
  np.savez_compressed(recipe.RECORDING.with_name("training.npz"), **arrays)
