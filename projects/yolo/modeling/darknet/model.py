"""A network of Darknet's in TensorFlow: built from its `.cfg`, filled from its `.weights`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from official.checkpoints.arrays import LazyArray
from projects.yolo.modeling.builder import Style, apply_rows, network_input
from projects.yolo.modeling.darknet.network import Network, read_network
from projects.yolo.modeling.darknet.weights import read_start, read_weights, write_weights
from projects.yolo.modeling.yolo import DetectionLimits, find_objects
from projects.yolo.ops.nms import Detections

# Of Darknet's batch normalization, and of its `detector test`.
_STYLE = Style(activation="linear", momentum=0.9, epsilon=1e-5)
_LIMITS = DetectionLimits(iou_threshold=0.45)

_NORM = {"gamma": "scales", "beta": "biases", "moving_mean": "mean", "moving_variance": "variance"}


class DarknetYolo(tf_keras.Model):
  """A detector that a `.cfg` describes, its variables made.

  Args:
    network: what the `.cfg` says.
  """

  def __init__(self, network: Network, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    image = network_input(network.input, "image")
    tensors = apply_rows(network.rows, {"image": image}, _STYLE, last="image")
    raw = {str(head.level): tensors[head.row] for head in network.heads}
    self.network = tf_keras.Model(image, raw, name="network")
    self.coordinates = {head.level: head.coordinates for head in network.heads}
    # As in Darknet, the last [yolo] section decides.
    self._diou_exponent = network.heads[-1].diou_exponent
    self._convolutions = network.convolutions

  def call(self, images: tf.Tensor, training: bool = False) -> dict[str, Any]:
    """Runs the network.

    Args:
      images: [b, h, w, c] floats in 0..1.
      training: whether BatchNorm uses the batch's statistics; leaves out the detections.

    Returns:
      as `projects.yolo.modeling.yolo.Yolo.call`.
    """
    raw = self.network(images, training=training)
    return {"raw": raw} if training else {"raw": raw, "detections": self.detections(raw)}

  def detections(self, raw: dict[str, tf.Tensor]) -> Detections:
    """Boxes yxyx in pixels of the input, classes and scores, from raw outputs."""
    return find_objects(raw, self.coordinates, _LIMITS, self._diou_exponent)

  def load(self, arrays: Mapping[str, LazyArray]) -> None:
    """Fills every variable from `read_weights`'s arrays."""
    for name, variable in self._named_variables():
      array = arrays[name].read()
      # [out, in, h, w] → [h, w, in, out].
      variable.assign(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array)

  def arrays(self) -> dict[str, np.ndarray]:
    """Every variable in Darknet's layout, under the names of `load`."""
    return {
      name: variable.numpy().transpose(3, 2, 0, 1) if variable.shape.rank == 4 else variable.numpy()
      for name, variable in self._named_variables()
    }

  def _named_variables(self) -> Iterator[tuple[str, tf.Variable]]:
    for convolution in self._convolutions:
      layer = self.network.get_layer(convolution.row)
      if convolution.normalized:
        variables = {part: getattr(layer.norm, own) for own, part in _NORM.items()}
        variables["weights"] = layer.conv.kernel
      else:
        variables = {"biases": layer.bias, "weights": layer.kernel}
      for part, variable in variables.items():
        yield f"{convolution.section}.{part}", variable


def import_darknet(cfg: str | Path, weights: str | Path) -> tuple[Network, DarknetYolo]:
  """What a `.cfg` says, and the network in TensorFlow with its weights.

  Raises:
    UserError: the `.cfg` is damaged or holds what is not supported (the message names the line), or
      the weights are of another network.
  """
  network = read_network(cfg)
  arrays = read_weights(weights, network)
  model = DarknetYolo(network)
  model.load(arrays)
  return network, model


def export_darknet(
  path: str | Path, network: Network, model: DarknetYolo, like: str | Path
) -> None:
  """Writes the network's weights as Darknet reads them.

  Args:
    path: of the new file.
    network: what its `.cfg` says.
    model: with the weights.
    like: the `.weights` that it was imported from, whose header is kept.

  Raises:
    UserError: `like` is no such file, or the system refuses.
  """
  write_weights(Path(path), network, model.arrays(), read_start(like))
