"""From the network of training to the one of inference: the same outputs, fewer layers.

Re-parameterized convolutions become one (`rep_conv.py`), implicit knowledge folds into the output's
kernel and bias (`implicit.py`), auxiliary heads go.
"""

import numpy as np
import tf_keras

from projects.yolo.modeling.implicit import ImplicitScale, ImplicitShift
from projects.yolo.modeling.rep_conv import RepConvNorm
from projects.yolo.modeling.yolo import Yolo


def deployed(model: Yolo) -> Yolo:
  """`model` as inference needs it; itself where training has nothing more.

  Args:
    model: built, with its weights.
  """
  config = model.get_config()
  fused = Yolo.from_config(config | {"deployed": True})
  if len(fused.head.weights) == len(model.head.weights):
    return model
  fused.backbone.set_weights(model.backbone.get_weights())
  fused.decoder.set_weights(model.decoder.get_weights())
  for layer in fused.head.layers:
    if layer.weights:
      layer.set_weights(_weights(model.head, layer.name))
  return fused


def _weights(head: tf_keras.Model, name: str) -> list[np.ndarray]:
  """What the layer `name` of the deployed head is given."""
  layer = head.get_layer(name)
  if isinstance(layer, RepConvNorm):
    return list(layer.fused())
  level, _, part = name.partition("/")
  own = {other.name: other for other in head.layers}
  if part != "output" or f"{level}/shift" not in own:
    return layer.get_weights()
  return _folded(layer, own[f"{level}/shift"], own[f"{level}/scale"])


def _folded(
  output: tf_keras.layers.Layer, shift: ImplicitShift, scale: ImplicitScale
) -> list[np.ndarray]:
  """Kernel [1, 1, c, n] and bias [n] of scale · (kernel · (x + shift) + bias)."""
  kernel, bias = output.get_weights()
  bias = bias + shift.implicit.numpy() @ kernel[0, 0]
  factor = scale.implicit.numpy()
  return [kernel * factor, bias * factor]
