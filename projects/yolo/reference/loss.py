"""The loss that ScaledYOLOv4 trains with, in PyTorch, object by object.

Its rules were read off WongKinYiu's ScaledYOLOv4 (GPL: facts alone, no code), and it is checked
against numbers that the original computed (`tests/projects/yolo/reference`). As the project's own
loss, it deviates in that the larger overlap is the objectness target of a place that two objects
share, that networks with exponential coordinates assign no neighbours, and that the terms of
networks with two levels are not multiplied by 3/2.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from projects.yolo.reference.layers import Yolo

BALANCE = {  # Of the levels' objectness, finest first.
  2: (4.0, 1.0),
  3: (4.0, 1.0, 0.4),
  4: (4.0, 1.0, 0.4, 0.1),
  5: (4.0, 1.0, 0.5, 0.4, 0.1),
}


@dataclasses.dataclass(frozen=True)
class Gains:
  """Weights of the terms, and how far an anchor's sides may be from an object's."""

  box: float = 0.05
  objectness: float = 1.0
  classes: float = 0.5
  ratio: float = 4.0


@dataclasses.dataclass(frozen=True)
class Target:
  """A place that answers for an object: its image, anchor, row and column, and the object."""

  image: int
  anchor: int
  row: int
  column: int
  box: Tensor  # x, y, w, h in cells.
  label: int


def compute_loss(
  raw: Mapping[str, Tensor],
  heads: Mapping[str, Yolo],
  boxes: Tensor,
  classes: Tensor,
  valid: Tensor,
  gains: Gains,
) -> dict[str, Tensor]:
  """The loss and its terms, means over the batch.

  Args:
    raw: [b, anchors, h, w, 5 + classes] by level.
    heads: the layers that they come from, by level.
    boxes: [b, n, 4] ymin, xmin, ymax, xmax in 0..1.
    classes: [b, n].
    valid: [b, n], which of them are objects.
    gains: of the terms.

  Returns:
    `box_loss`, `objectness_loss`, `class_loss` and `total`, their sum; at least float32.
  """
  boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
  box, objectness, label = (boxes.new_zeros(()) for _ in range(3))
  levels = sorted(raw, key=int)
  for level, balance in zip(levels, BALANCE[len(levels)], strict=True):
    outputs = raw[level].to(boxes.dtype)
    anchors = outputs.new_tensor(heads[level].anchors) / 2 ** int(level)
    targets = list(find_targets(outputs, anchors, heads[level], boxes, classes, valid, gains.ratio))
    wanted = torch.zeros_like(outputs[..., 4])
    if targets:
      overlap, entropy = _matched(outputs, anchors, heads[level], targets)
      box = box + (1 - overlap).mean()
      label = label + entropy
      for target, value in zip(targets, overlap.detach().clamp(min=0), strict=True):
        place = target.image, target.anchor, target.row, target.column
        wanted[place] = torch.maximum(wanted[place], value)
    logits = outputs[..., 4]
    objectness = objectness + balance * F.binary_cross_entropy_with_logits(logits, wanted)
  terms = {
    "box_loss": gains.box * box,
    "objectness_loss": gains.objectness * objectness,
    "class_loss": gains.classes * label,
  }
  return terms | {"total": sum(terms.values())}


def find_targets(
  outputs: Tensor,
  anchors: Tensor,
  head: Yolo,
  boxes: Tensor,
  classes: Tensor,
  valid: Tensor,
  ratio: float,
) -> Iterator[Target]:
  """Every place of a level that answers for an object; arguments as of `compute_loss`."""
  height, width = outputs.shape[2:4]
  scale = boxes.new_tensor([width, height, width, height])
  for image, item in valid.nonzero().tolist():
    ymin, xmin, ymax, xmax = boxes[image, item]
    box = torch.stack([(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin]) * scale
    cells = list(_cells(float(box[0]), float(box[1]), width, height, head.form == "scaled"))
    for anchor, sides in enumerate(anchors):
      factors = torch.cat([box[2:] / sides, sides / box[2:]])
      if factors.max() < ratio:
        for row, column in cells:
          yield Target(image, anchor, row, column, box, int(classes[image, item]))


def _cells(
  x: float, y: float, width: int, height: int, neighbours: bool
) -> Iterator[tuple[int, int]]:
  """The object's own cell, and the ones across the nearer edges."""
  column, row = min(int(x), width - 1), min(int(y), height - 1)
  yield row, column
  if not neighbours:
    return
  if x % 1 < 0.5 and x > 1:
    yield row, column - 1
  if x % 1 > 0.5 and x < width - 1:
    yield row, column + 1
  if y % 1 < 0.5 and y > 1:
    yield row - 1, column
  if y % 1 > 0.5 and y < height - 1:
    yield row + 1, column


def _matched(
  outputs: Tensor, anchors: Tensor, head: Yolo, targets: Sequence[Target]
) -> tuple[Tensor, Tensor]:
  """CIoU of each target's prediction with its object, and the mean cross-entropy of classes."""
  picked = torch.stack([outputs[t.image, t.anchor, t.row, t.column] for t in targets])
  cells = outputs.new_tensor([[t.column, t.row] for t in targets])
  sides = torch.stack([anchors[t.anchor] for t in targets])
  overlap = ciou(decode(picked, cells, sides, head), torch.stack([t.box for t in targets]))
  one_hot = torch.zeros_like(picked[:, 5:])
  for row, target in enumerate(targets):
    one_hot[row, target.label] = 1
  return overlap, F.binary_cross_entropy_with_logits(picked[:, 5:], one_hot)


def decode(raw: Tensor, cells: Tensor, anchors: Tensor, head: Yolo) -> Tensor:
  """[..., 5 + classes] → x, y, w, h in cells, of outputs at `cells` [..., 2] (column, row)."""
  share = raw[..., :2].sigmoid()
  centre = head.scale_xy * share - 0.5 * (head.scale_xy - 1) + cells
  size = (2 * raw[..., 2:4].sigmoid()) ** 2 if head.form == "scaled" else raw[..., 2:4].exp()
  return torch.cat([centre, size * anchors], dim=-1)


def ciou(a: Tensor, b: Tensor) -> Tensor:
  """Complete IoU of boxes x, y, w, h, [n, 4] each (Zheng et al. 2020); no gradient of α."""
  low_a, high_a = a[:, :2] - a[:, 2:] / 2, a[:, :2] + a[:, 2:] / 2
  low_b, high_b = b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2
  sides = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0)
  intersection = sides.prod(dim=1)
  iou = intersection / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - intersection)
  around = torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)
  distance = (a[:, :2] - b[:, :2]).square().sum(1) / around.square().sum(1)
  angles = torch.atan(a[:, 2] / a[:, 3]) - torch.atan(b[:, 2] / b[:, 3])
  v = 4 / math.pi**2 * angles.square()
  alpha = (v / (1 - iou + v)).detach()
  return iou - distance - alpha * v
