"""The originals' side of this project's parity cases, in PyTorch.

Figures are those of ScaledYOLOv4 (https://arxiv.org/abs/2011.08036 and its repository) and of
Darknet, written down here and not read from our configuration: where the two differ, parity says.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from official.parity.case import Arrays, Side, Trainer
from official.parity.recorders.torch_trainer import TorchTrainer
from projects.yolo.reference import image, training
from projects.yolo.reference.darknet import CFG, Darknet, draw_weights
from projects.yolo.reference.detection import detect
from projects.yolo.reference.layers import SLOPE, Yolo
from projects.yolo.reference.loss import Gains, compute_loss

_EPSILON, _MOMENTUM = 1e-5, 0.03  # Of BatchNorm: Darknet's, ScaledYOLOv4's.
_GAINS = Gains(box=0.05, objectness=1.0, classes=0.5, ratio=4.0)
_DETECTION = {
  "score_threshold": 0.001,
  "iou_threshold": 0.6,
  "candidates": 1000,
  "max_detections": 100,
}


class Original:
  """One network and what the original does with it.

  Args:
    cfg: name of the `.cfg`.
    gain: of its random kernels.
    schedule: warmup_steps, decay_steps and average_decay.
    input_size: of photographs.
    precision: of the network.
    seed: of its weights.
  """

  def __init__(
    self,
    cfg: str,
    gain: float,
    schedule: Mapping[str, Any],
    input_size: int,
    precision: str,
    seed: int,
  ) -> None:
    self.network = Darknet(CFG / cfg, _EPSILON, _MOMENTUM)
    draw_weights(self.network, seed, gain)
    self.network.to(getattr(torch, precision))
    self.heads: dict[str, Yolo] = {
      level: self.network.layers[index] for level, index in self.network.heads.items()
    }
    lengths = dict(schedule)
    share = lengths.pop("rate_share")
    self.recipe = training.Recipe(
      learning_rate=0.01 * share,
      last_share=0.2,
      momentum=0.937,
      first_momentum=0.8,
      first_bias_rate=0.1 * share,
      weight_decay=0.0005,
      **lengths,
    )
    self.input_size = input_size

  def side(self) -> Side:
    """What parity compares."""
    return Side(
      network=self.network,
      forward=self.forward,
      losses=self.losses,
      trainer=self.trainer,
      preprocess=self.preprocess,
      postprocess=lambda outputs: detect(outputs, self.heads, **_DETECTION),
      settings=self.settings(),
    )

  def forward(self, batch: Mapping[str, Tensor], training: bool) -> dict[str, Tensor]:
    """Raw outputs by level; the mode is the modules' own."""
    del training
    return self.network(batch["images"])

  def losses(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The loss and its terms; "total" has the gradient that training uses."""
    labels = (batch[name] for name in ("boxes", "classes", "valid"))
    return compute_loss(outputs, self.heads, *labels, _GAINS)

  def trainer(self) -> Trainer:
    """Trains the network as the recipe says."""
    optimizer = training.make_optimizer(self.network, self.recipe)

    def objective(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
      losses = self.losses(outputs, batch)
      total = training.times_images(losses["total"], len(batch["images"]))
      return losses | {"total": total}

    return TorchTrainer(
      self.network,
      optimizer,
      objective,
      self.forward,
      schedule=training.make_schedule(optimizer, self.recipe),
      average=training.Average(self.network, self.recipe.average_decay),
    )

  def preprocess(self, photograph: np.ndarray) -> Arrays:
    """The image in its letterbox, and how it got there."""
    boxed, info = image.letterbox(photograph, self.input_size)
    return {"image": boxed, "image_info": info}

  def settings(self) -> dict[str, Any]:
    """Figures under the names that the candidate uses too."""
    head = next(iter(self.heads.values()))
    recipe = self.recipe
    return {
      "norm epsilon": _EPSILON,
      "norm momentum": 1 - _MOMENTUM,
      "activation": self.network.layers[0].kind,
      "leaky slope": SLOPE,
      "coordinates": head.form,
      "reach of centres": {level: self.heads[level].scale_xy for level in sorted(self.heads)},
      "anchors": {level: self.heads[level].anchors for level in sorted(self.heads)},
      "gains": [_GAINS.box, _GAINS.objectness, _GAINS.classes, _GAINS.ratio],
      "learning rate": recipe.learning_rate,
      "last share of the learning rate": recipe.last_share,
      "warm-up steps": recipe.warmup_steps,
      "decay steps": recipe.decay_steps,
      "momentum": recipe.momentum,
      "first momentum": recipe.first_momentum,
      "first learning rate of biases": recipe.first_bias_rate,
      "weight decay": recipe.weight_decay,
      "average decay": recipe.average_decay,
      "kind": "class_wise",
      **_DETECTION,
    }
