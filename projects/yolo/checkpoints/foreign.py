"""Files that a YOLO can be filled from: Darknet's `.weights`, of the `.cfg` in `reference/cfg`, and
yolov7's `.pt`.

Names are those of `reference`'s Darknet in PyTorch, by which parity compares the networks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from official.checkpoints.arrays import Checkpoint
from official.checkpoints.schemes import ForeignFiles, Scheme
from projects.yolo.configs.yolo import YoloTask
from projects.yolo.modeling.darknet.cfg_file import read_cfg
from projects.yolo.modeling.darknet.network import Network, read_network
from projects.yolo.modeling.darknet.weights import read_weights, write_weights
from projects.yolo.modeling.tables.v7 import V7
from projects.yolo.modeling.variant import Variant
from projects.yolo.modeling.variants import get_variant
from projects.yolo.reference import yolov7_names
from projects.yolo.reference.correspondence import of_variant

_CFG = Path(__file__).parents[1] / "reference" / "cfg"
_NORMALIZED = {
  "biases": "norm.bias",
  "scales": "norm.weight",
  "mean": "norm.running_mean",
  "variance": "norm.running_var",
  "weights": "conv.weight",
}
_PLAIN = {"biases": "conv.bias", "weights": "conv.weight"}


def foreign_files(task: YoloTask) -> ForeignFiles:
  """The files for the network that `task` configures.

  Raises:
    UserError: there is no such variant.
  """
  variant = get_variant(task.model.variant)
  if task.model.variant in V7:
    return ForeignFiles(tuple(_yolov7(variant)))
  cfg = _CFG / f"yolo{task.model.variant}.cfg"
  network = read_network(cfg)
  names = dict(_names(network))

  def read(path: Path) -> Checkpoint:
    arrays = read_weights(path, network)
    named = {own: arrays[theirs] for theirs, own in names.items()}
    return Checkpoint(path, "darknet", named, {})

  def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    write_weights(path, network, {theirs: arrays[own] for theirs, own in names.items()})

  scheme = Scheme(name="darknet", rules=of_variant(variant, read_cfg(cfg)[1:]).weights)
  return ForeignFiles((scheme,), open=read, writers={".weights": write})


def _yolov7(variant: Variant) -> Iterator[Scheme]:
  """The original's `.pt`: the averaged weights, which it evaluates, else those of the last step."""
  for container in ("ema", "model"):
    yield Scheme(f"yolov7-{container}", rules=yolov7_names.weights(variant), container=container)


def _names(network: Network) -> Iterator[tuple[str, str]]:
  """Darknet's name of each array, and the rules'."""
  for convolution in network.convolutions:
    for part, own in (_NORMALIZED if convolution.normalized else _PLAIN).items():
      yield f"{convolution.section}.{part}", f"layers.{convolution.section}.{own}"
