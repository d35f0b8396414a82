"""Networks and inputs that anyone makes again, bit for bit, and where their outputs are sampled.

`outputs.npz` holds what Darknet and OpenCV computed for them; see the README beside this file.
"""

import re

import numpy as np
import torch

from projects.yolo.reference.darknet import CFG, Darknet, draw_weights, load_weights

SAMPLES = 16  # Of each layer's output.

# Random networks: side of the input, and gain of the kernels.
RANDOM = {"yolov3-tiny": (160, 2.0), "yolov4-tiny": (160, 2.0), "yolov4-csp": (96, 1.5)}
REAL = ("yolo-fastest-1.1", "yolo-fastest-1.1-xl")


def resized_cfg(source, side, folder):
  """Writes the `.cfg` at `source` for an input of another side; returns the path."""
  path = folder / source.name
  path.write_text(re.sub(r"(width|height)=\d+", rf"\1={side}", source.read_text()))
  return path


def random_network(name, folder):
  """A network of `RANDOM` in float32."""
  network = Darknet(resized_cfg(CFG / f"{name}.cfg", RANDOM[name][0], folder))
  draw_weights(network, 0, RANDOM[name][1])
  return network.eval()


def real_network(name, folder):
  """A network of `REAL` in float32, from the folder of real weights."""
  network = Darknet(folder / f"{name}.cfg")
  load_weights(network, folder / f"{name}.weights")
  return network.eval()


def image(network):
  """[3, h, w] float32 in 0..1."""
  return np.random.default_rng(1).random((3, *network.input_size), np.float32)


def sample(array):
  """`SAMPLES` values of a layer's output [c, h, w] (of a [yolo]: anchors · entries, h, w)."""
  flat = array.reshape(-1)
  return flat[np.linspace(0, flat.size - 1, SAMPLES).astype(int)]


def darknets_outputs(network, array):
  """What Darknet has as the output of each layer, from the reference in float64, for [3, h, w]."""
  outputs = []
  handles = [
    layer.register_forward_hook(lambda *call: outputs.append(call[-1][0].numpy()))
    for layer in network.layers
  ]
  with torch.no_grad():
    network.double()(torch.from_numpy(array)[None].double())
  for handle in handles:
    handle.remove()
  return [
    _as_darknet(*each) for each in zip(network.layers, network.sections, outputs, strict=True)
  ]


def _as_darknet(layer, section, output):
  logistic = lambda x: 1 / (1 + np.exp(-x))
  if section.kind == "convolutional" and section.options["activation"].text == "logistic":
    return logistic(output)  # The reference leaves it to decoding.
  if section.kind != "yolo":
    return output
  entries = output.copy()
  entries[..., 4:] = logistic(output[..., 4:])
  entries[..., :2] = logistic(output[..., :2]) * layer.scale_xy - (layer.scale_xy - 1) / 2
  if layer.form == "scaled":
    entries[..., 2:4] = logistic(output[..., 2:4])
  return entries.transpose(0, 3, 1, 2).reshape(-1, *output.shape[1:3])
