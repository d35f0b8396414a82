"""facebookresearch/MaskFormer, run from a checkout of its own: for recordings of it.

The original needs detectron2. Neither is installed: both are read from folders, and detectron2
without its compiled part, which no network here calls. What is set aside of the original, and why:

- dropout is 0: frameworks draw other random numbers;
- sine positions are computed in the precision of the run, where the original always takes float32,
  so that in float64 they are no float32 values (`_exact_positions`);
- in bfloat16, losses are computed in float32, as SciPy's matcher takes no bfloat16;
- the learning rate falls after a few steps, not after 369,600 (`SOLVER.STEPS`); its warm-up, which
  changes nothing (`WARMUP_FACTOR` is 1), ends before;
- parameters with the same rate and decay share a group of the optimizer; the original gives each
  its own, with the same result.
"""

import contextlib
import dataclasses
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from official.parity.case import Side, Trainer
from official.parity.recorders.structures import map_leaves
from official.parity.recorders.torch_trainer import TorchTrainer
from projects.maskformer.reference.recipe import DECAY_AFTER
from projects.maskformer.reference.weights import draw

_TERMS = {"loss_ce": "class_loss", "loss_mask": "mask_loss", "loss_dice": "dice_loss"}


@dataclasses.dataclass(frozen=True)
class Checkouts:
  """Where the original is.

  Attributes:
    maskformer: of facebookresearch/MaskFormer.
    detectron2: of facebookresearch/detectron2.
  """

  maskformer: Path
  detectron2: Path


def original_side(checkouts: Checkouts, config: str, precision: str, seed: int) -> Side:
  """The original with weights of `weights.draw`.

  Args:
    checkouts: where its code is.
    config: name of the file under its `configs`, without ".yaml".
    precision: of the network.
    seed: of its weights.
  """
  return _Original(checkouts, config, precision, seed).side()


class Network(nn.Module):
  """The original's network as its `MaskFormer.forward` calls it, behind normalization and padding.

  Parameters have the names of its checkpoints.
  """

  def __init__(self, model: nn.Module) -> None:
    super().__init__()
    self.backbone = model.backbone
    self.sem_seg_head = model.sem_seg_head

  def forward(self, images: Tensor) -> Mapping[str, Any]:
    """[b, 3, h, w] → pred_logits, pred_masks, and aux_outputs with the same of earlier layers."""
    return self.sem_seg_head(self.backbone(images))


class _Original:
  def __init__(self, checkouts: Checkouts, config: str, precision: str, seed: int) -> None:
    _make_importable(checkouts)
    with _float64_by_default():  # Constants are exact in float64, not rounded to float32 before.
      self.config, model = _build(checkouts.maskformer / "configs" / f"{config}.yaml")
    _set_weights(model, seed)
    _exact_positions()
    self.model = model.to(getattr(torch, precision))
    self._exact = torch.promote_types(getattr(torch, precision), torch.float32)
    model.criterion.to(self._exact)
    self.network = Network(model)
    self._train_net = checkouts.maskformer / "train_net.py"

  def side(self) -> Side:
    return Side(
      network=self.network,
      forward=lambda batch, training: self.network(batch["images"]),
      losses=self.losses,
      trainer=self.trainer,
      settings=self.settings(),
    )

  def losses(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All terms without weights, and "total" with them, by our names."""
    criterion = self.model.criterion
    found = criterion(map_leaves(lambda _, x: x.to(self._exact), outputs), _targets(batch))
    total = sum(criterion.weight_dict[name] * loss for name, loss in found.items())
    return {_term(name): loss for name, loss in found.items()} | {"total": total}

  def trainer(self) -> Trainer:
    """The original's optimizer, which clips, and its schedule."""
    from detectron2.solver import build_lr_scheduler

    optimizer = _module("maskformer_train_net", self._train_net).Trainer.build_optimizer(
      self.config, self.model
    )
    _merge_groups(optimizer)
    schedule = build_lr_scheduler(self.config, optimizer)
    forward = self.side().forward
    return TorchTrainer(self.network, optimizer, self.losses, forward, schedule)

  def settings(self) -> dict[str, Any]:
    """Figures under the names that the candidate uses too."""
    model, solver = self.config.MODEL, self.config.SOLVER
    return {
      "queries": model.MASK_FORMER.NUM_OBJECT_QUERIES,
      "classes": model.SEM_SEG_HEAD.NUM_CLASSES,
      "encoder layers": model.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS,
      "decoder layers": model.MASK_FORMER.DEC_LAYERS,
      "heads": model.MASK_FORMER.NHEADS,
      "weights": [1.0, model.MASK_FORMER.MASK_WEIGHT, model.MASK_FORMER.DICE_WEIGHT],
      "no-object weight": model.MASK_FORMER.NO_OBJECT_WEIGHT,
      "learning rate": solver.BASE_LR,
      "backbone multiplier": solver.BACKBONE_MULTIPLIER,
      "weight decay": solver.WEIGHT_DECAY,
      "clip norm": solver.CLIP_GRADIENTS.CLIP_VALUE,
    }


def _make_importable(checkouts: Checkouts) -> None:
  for folder in (checkouts.detectron2, checkouts.maskformer):
    if str(folder) not in sys.path:
      sys.path.insert(0, str(folder))
  compiled = types.ModuleType("detectron2._C")
  compiled.__spec__ = importlib.machinery.ModuleSpec("detectron2._C", None)
  sys.modules.setdefault("detectron2._C", compiled)


def _build(file: Path) -> tuple[Any, nn.Module]:
  """The configuration and the model it describes."""
  from detectron2.config import get_cfg
  from detectron2.modeling import build_model
  from detectron2.projects.deeplab import add_deeplab_config
  from mask_former import add_mask_former_config

  config = get_cfg()
  add_deeplab_config(config)
  add_mask_former_config(config)
  config.merge_from_file(str(file))
  config.MODEL.DEVICE = "cpu"
  config.MODEL.MASK_FORMER.DROPOUT = 0.0
  config.SOLVER.STEPS, config.SOLVER.WARMUP_ITERS = (DECAY_AFTER,), 1
  return config, build_model(config)


def _set_weights(model: nn.Module, seed: int) -> None:
  state = Network(model).state_dict()
  drawn = draw({name: tensor.shape for name, tensor in state.items()}, seed)
  for name, tensor in state.items():
    tensor.copy_(torch.from_numpy(drawn[name]))


class _Exact(types.ModuleType):
  """`torch`, in whose place "float32" is float64."""

  float32 = torch.float64

  def __getattr__(self, name: str) -> Any:
    return getattr(torch, name)


def _exact_positions() -> None:
  """Sine positions are computed in float64, and rounded to the precision of what they encode."""
  from mask_former.modeling.transformer import position_encoding

  encoding = position_encoding.PositionEmbeddingSine
  if position_encoding.torch is not torch:
    return
  position_encoding.torch = _Exact("exact")
  forward = encoding.forward
  encoding.forward = lambda self, x, mask=None: forward(self, x, mask).to(x.dtype)


def _targets(batch: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
  """As `MaskFormer.prepare_targets` hands them on: valid segments alone."""
  columns = (batch[name] for name in ("classes", "masks", "valid"))
  return [
    {"labels": classes[valid].long(), "masks": masks[valid]}
    for classes, masks, valid in zip(*columns, strict=True)
  ]


def _term(name: str) -> str:
  """Our name of a loss: "loss_ce_0" → "class_loss_0"."""
  kind = next(kind for kind in _TERMS if name.startswith(kind))
  return _TERMS[kind] + name.removeprefix(kind)


def _merge_groups(optimizer: torch.optim.Optimizer) -> None:
  """One group for each rate and decay, that of heads and decoders first."""
  groups: dict[tuple[float, float], dict[str, Any]] = {}
  for group in optimizer.param_groups:
    known = groups.setdefault((group["lr"], group["weight_decay"]), group)
    if known is not group:
      known["params"] += group["params"]
  optimizer.param_groups[:] = [groups[key] for key in sorted(groups, reverse=True)]


def _module(name: str, path: Path) -> types.ModuleType:
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@contextlib.contextmanager
def _float64_by_default() -> Iterator[None]:
  before = torch.get_default_dtype()
  torch.set_default_dtype(torch.float64)
  try:
    yield
  finally:
    torch.set_default_dtype(before)
