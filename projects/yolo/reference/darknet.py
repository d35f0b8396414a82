"""A Darknet network in PyTorch, made from its `.cfg`: the original of this project's parity."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from projects.yolo.modeling.darknet.cfg_file import Section, read_cfg
from projects.yolo.reference import layers

CFG = Path(__file__).parent / "cfg"


class Darknet(nn.Module):
  """The layers of a `.cfg`, as `layers.0`, `layers.1`, … in its order.

  In front of a `[yolo]` with new_coords the logistic activation is left out: raw outputs are
  logits in every network, and decoding applies it.

  Attributes:
    layers: one a section.
    heads: numbers of the `[yolo]` layers by level; the stride of level l is 2ˡ.
    input_size: height and width in pixels.

  Args:
    path: of the `.cfg`.
    epsilon: of every BatchNorm; Darknet's is 1e-5.
    momentum: of every BatchNorm, PyTorch's convention; Darknet's is 0.1.
  """

  def __init__(self, path: str | Path, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
    super().__init__()
    net, *self.sections = read_cfg(path)
    self.input_channels = net.integer("channels")
    self.input_size = net.integer("height"), net.integer("width")
    self.layers = nn.ModuleList()
    self.heads: dict[str, int] = {}
    strides: list[int] = []
    for index, section in enumerate(self.sections):
      self.layers.append(self._layer(index, section, epsilon, momentum))
      above = [strides[i] for i in self._sources(index)] or [1]
      strides.append(_stride(section, above[-1]))
      if section.kind == "yolo":
        self.heads[str(strides[-1].bit_length() - 1)] = index

  def _layer(self, index: int, section: Section, epsilon: float, momentum: float) -> nn.Module:
    channels = [self.layers[i].channels for i in self._sources(index)] or [self.input_channels]
    if section.kind == "convolutional":
      below = self.sections[index + 1 : index + 2]
      raw = any(s.kind == "yolo" and s.integer("new_coords", 0) for s in below)
      return layers.Convolutional(section, channels[0], epsilon, momentum, raw)
    if section.kind == "route":
      return layers.Route(section, channels)
    if section.kind in ("sam", "scale_channels"):
      return layers.ScaleChannels(section, channels)
    if section.kind in ("avgpool", "dropout"):
      return {"avgpool": layers.AvgPool, "dropout": layers.Dropout}[section.kind](channels[0])
    kinds = {
      "maxpool": layers.MaxPool,
      "reorg": layers.Reorg,
      "shortcut": layers.Shortcut,
      "upsample": layers.Upsample,
      "yolo": layers.Yolo,
    }
    return kinds[section.kind](section, channels[0])

  def _sources(self, index: int) -> list[int]:
    """Which layers the layer `index` reads; none is the image."""
    section = self.sections[index]
    named = {"route": "layers"}.get(section.kind, "from" if "from" in section.options else None)
    far = [i if i >= 0 else index + i for i in section.integers(named)] if named else []
    above = [] if section.kind == "route" or index == 0 else [index - 1]
    return above + far

  def forward(self, images: Tensor) -> dict[str, Tensor]:
    """Images [b, c, h, w] in 0..1 → raw outputs [b, anchors, h, w, 5 + classes], by level."""
    outputs: list[Tensor] = []
    for index, layer in enumerate(self.layers):
      sources = [outputs[i] for i in self._sources(index)] or [images]
      outputs.append(layer(*sources))
    return {level: outputs[index] for level, index in self.heads.items()}


def _stride(section: Section, above: int) -> int:
  """Pixels of the input to one pixel of a layer's output, of that of the layer above."""
  stride = section.integer("stride", 1)
  shrinks = section.kind in ("convolutional", "maxpool")
  if section.kind == "reorg":
    shrinks = not section.integer("reverse", 0)
  return above * stride if shrinks else above // stride


def draw_weights(network: Darknet, seed: int, gain: float) -> None:
  """Random values, exact in float32, for all parameters and statistics: none is 0 or 1.

  Args:
    network: to fill.
    seed: of the values.
    gain: of the kernels: 2 keeps activations apart through all of a network of leaky rectifiers,
      1.5 through one of mish and shortcuts.
  """
  rng = np.random.default_rng(seed)

  def fill(tensor: Tensor, low: float, high: float) -> None:
    values = rng.random(tensor.shape, np.float32) * np.float32(high - low) + np.float32(low)
    tensor.data.copy_(torch.from_numpy(values))

  for layer in network.layers:
    if not isinstance(layer, layers.Convolutional):
      continue
    reach = (3 * gain / layer.conv.weight[0].numel()) ** 0.5
    fill(layer.conv.weight, -reach, reach)
    if layer.norm is None:
      fill(layer.conv.bias, -0.5, 0.5)
    else:
      fill(layer.norm.weight, 0.7, 1.3)
      fill(layer.norm.bias, -0.1, 0.1)
      fill(layer.norm.running_mean, -0.1, 0.1)
      fill(layer.norm.running_var, 0.7, 1.3)


def load_weights(network: Darknet, path: str | Path) -> None:
  """Fills `network` from a `.weights` file, array by array in the file's order.

  Raises:
    ValueError: the file is shorter or longer than the network.
  """
  numbers = np.fromfile(path, "<f4", offset=20)  # Version 0.2 and later: 3 × int32, 1 × int64.
  position = 0
  for layer in network.layers:
    for tensor in _in_file_order(layer):
      values = numbers[position : position + tensor.numel()]
      position += tensor.numel()
      if len(values) < tensor.numel():
        raise ValueError(f"{path} is too short")
      tensor.data.copy_(torch.from_numpy(values).view_as(tensor))
  if position < len(numbers):
    raise ValueError(f"{path} is too long")


def save_weights(network: Darknet, path: str | Path) -> None:
  """Writes `network` as a `.weights` file that Darknet reads."""
  header = np.array([0, 2, 5, 0, 0], "<i4").tobytes()
  tensors = [tensor for layer in network.layers for tensor in _in_file_order(layer)]
  arrays = [tensor.detach().float().numpy().astype("<f4").tobytes() for tensor in tensors]
  Path(path).write_bytes(header + b"".join(arrays))


def _in_file_order(layer: nn.Module) -> list[Tensor]:
  if not isinstance(layer, layers.Convolutional):
    return []
  if norm := layer.norm:
    return [norm.bias, norm.weight, norm.running_mean, norm.running_var, layer.conv.weight]
  return [layer.conv.bias, layer.conv.weight]
