"""Darknet's layers in PyTorch, NCHW, each made from its section of a `.cfg`.

What they compute was read off AlexeyAB's Darknet (public domain) and is checked against its outputs
in `tests/projects/yolo/reference`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from projects.yolo.modeling.darknet.cfg_file import Section

SLOPE = 0.1  # Of Darknet's leaky rectifier.

ACTIVATIONS = {
  "leaky": lambda x: F.leaky_relu(x, SLOPE),
  "linear": lambda x: x,
  "logistic": torch.sigmoid,
  "mish": F.mish,
  "relu": F.relu,
  "relu6": F.relu6,
  "swish": F.silu,
}


class Convolutional(nn.Module):
  """Convolution, normalization or bias, activation.

  Args:
    section: of the `.cfg`.
    channels: of the input.
    epsilon: of the normalization.
    momentum: share of the batch in moving statistics (PyTorch's convention).
    raw: leaves the activation out: what comes are logits.
  """

  def __init__(
    self, section: Section, channels: int, epsilon: float, momentum: float, raw: bool
  ) -> None:
    super().__init__()
    filters, size = section.integer("filters"), section.integer("size", 1)
    normalized = section.integer("batch_normalize", 0) == 1
    self.conv = nn.Conv2d(
      channels,
      filters,
      size,
      stride=section.integer("stride", 1),
      padding=size // 2 if section.integer("pad", 0) else 0,
      groups=section.integer("groups", 1),
      bias=not normalized,
    )
    self.norm = nn.BatchNorm2d(filters, epsilon, momentum) if normalized else None
    self.kind = "linear" if raw else section.word("activation", "logistic", ACTIVATIONS)
    self.channels = filters

  def forward(self, x: Tensor) -> Tensor:
    x = self.conv(x)
    return ACTIVATIONS[self.kind](self.norm(x) if self.norm else x)


class MaxPool(nn.Module):
  """Maxima; (size − 1) // 2 pixels of −∞ in front, the rest of size − 1 behind."""

  def __init__(self, section: Section, channels: int) -> None:
    super().__init__()
    self.size, self.stride = section.integer("size"), section.integer("stride", 1)
    self.channels = channels

  def forward(self, x: Tensor) -> Tensor:
    front = (self.size - 1) // 2
    behind = self.size - 1 - front
    padded = F.pad(x, (front, behind, front, behind), value=-torch.inf)
    return F.max_pool2d(padded, self.size, self.stride)


class Upsample(nn.Module):
  """Each pixel as many times as `stride` says, along both axes."""

  def __init__(self, section: Section, channels: int) -> None:
    super().__init__()
    self.stride = section.integer("stride")
    self.channels = channels

  def forward(self, x: Tensor) -> Tensor:
    return x.repeat_interleave(self.stride, 2).repeat_interleave(self.stride, 3)


class Route(nn.Module):
  """Joins the channels of earlier layers, or takes a part of each."""

  def __init__(self, section: Section, channels: Sequence[int]) -> None:
    super().__init__()
    self.groups, self.part = section.integer("groups", 1), section.integer("group_id", 0)
    self.channels = sum(channels) // self.groups

  def forward(self, *sources: Tensor) -> Tensor:
    parts = [source.chunk(self.groups, dim=1)[self.part] for source in sources]
    return torch.cat(parts, dim=1)


class Shortcut(nn.Module):
  """Adds earlier layers to the one above, then activates."""

  def __init__(self, section: Section, channels: int) -> None:
    super().__init__()
    self.kind = section.word("activation", "linear", ACTIVATIONS)
    self.channels = channels

  def forward(self, *sources: Tensor) -> Tensor:
    total = sources[0]
    for source in sources[1:]:
      total = total + source
    return ACTIVATIONS[self.kind](total)


class Dropout(nn.Identity):
  """Inactive, see the project's README."""

  def __init__(self, channels: int) -> None:
    super().__init__()
    self.channels = channels


class Yolo(nn.Module):
  """Raw outputs by anchor: [b, anchors · (5 + classes), h, w] → [b, anchors, h, w, 5 + classes].

  Attributes:
    anchors: width and height in pixels of the input.
    form: "scaled" (new_coords) or "exponential".
    scale_xy: how far a centre may leave its cell.
  """

  def __init__(self, section: Section, channels: int) -> None:
    super().__init__()
    sides = section.numbers("anchors")
    self.anchors = [(sides[2 * i], sides[2 * i + 1]) for i in section.integers("mask")]
    self.form = "scaled" if section.integer("new_coords", 0) else "exponential"
    self.scale_xy = section.number("scale_x_y", 1.0)
    self.channels = channels

  def forward(self, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    count = len(self.anchors)
    return x.view(b, count, c // count, h, w).permute(0, 1, 3, 4, 2).contiguous()
