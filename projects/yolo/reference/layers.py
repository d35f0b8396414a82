"""Darknet's layers in PyTorch, NCHW, each made from its section of a `.cfg`.

What they compute was read off AlexeyAB's Darknet (public domain) and is checked against its outputs
in `tests/projects/yolo/reference`.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from projects.yolo.modeling.darknet.cfg_file import Section

SLOPE = 0.1  # Of Darknet's leaky rectifier.


def _stair(x: Tensor) -> Tensor:
  odd = x.floor().remainder(2) == 1
  return torch.where(odd, x.frac() + (x < 0) * (x.frac() != 0), 0) + (x / 2).floor()


def _share(positive: Tensor) -> Tensor:
  return positive / (positive.sum(1, keepdim=True) + 1e-4)


ACTIVATIONS = {
  "elu": F.elu,
  "gelu": lambda x: 0.5 * x * (1 + torch.tanh(0.797885 * x + 0.035677 * x.pow(3))),
  "hard_mish": lambda x: torch.where(x > 0, x, (x / 2 + 1) * x * (x > -2)),
  "hardtan": F.hardtanh,
  "lhtan": lambda x: torch.where(x < 0, 0.001 * x, torch.where(x > 1, 0.001 * (x - 1) + 1, x)),
  "loggy": lambda x: 2 / (1 + torch.exp(-x)) - 1,
  "normalize_channels": lambda x: _share(x.clamp(min=0)),
  "normalize_channels_softmax": lambda x: _share(x.exp()),
  "normalize_channels_softmax_maxval": lambda x: _share((x - x.amax(1, keepdim=True)).exp()),
  "plse": lambda x: torch.where(
    x < -4, 0.01 * (x + 4), torch.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5)
  ),
  "ramp": lambda x: x * (x > 0) + 0.1 * x,
  "relie": lambda x: F.leaky_relu(x, 0.01),
  "revleaky": lambda x: F.leaky_relu(x, SLOPE),
  "selu": lambda x: torch.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * (x.exp() - 1)),
  "stair": _stair,
  "tanh": torch.tanh,
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


class ScaleChannels(nn.Module):
  """The earlier layer times the one above, of one number a channel or a pixel, then activates."""

  def __init__(self, section: Section, channels: Sequence[int]) -> None:
    super().__init__()
    self.kind = section.word("activation", "linear", ACTIVATIONS)
    self.channels = channels[1]

  def forward(self, factor: Tensor, source: Tensor) -> Tensor:
    return ACTIVATIONS[self.kind](factor * source)


class AvgPool(nn.Module):
  """Means of each channel: [b, c, 1, 1]."""

  def __init__(self, channels: int) -> None:
    super().__init__()
    self.channels = channels

  def forward(self, x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


class Reorg(nn.Module):
  """Pixels into channels or back, number by number as Darknet's `reorg_cpu` counts."""

  def __init__(self, section: Section, channels: int) -> None:
    super().__init__()
    self.stride, self.reverse = section.integer("stride", 1), section.integer("reverse", 0)
    square = self.stride**2
    self.channels = channels // square if self.reverse else channels * square

  def forward(self, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    s, inner = self.stride, c // self.stride**2
    k, j, i = np.indices((c, h, w))
    offset = k // inner
    far = i * s + offset % s + w * s * (j * s + offset // s + h * s * (k % inner))
    places = torch.from_numpy(far.reshape(-1))
    if self.reverse:
      out = torch.zeros_like(x).view(b, -1)
      out[:, places] = x.reshape(b, -1)
      return out.view(b, inner, h * s, w * s)
    return x.reshape(b, -1)[:, places].view(b, c * s * s, h // s, w // s)


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
