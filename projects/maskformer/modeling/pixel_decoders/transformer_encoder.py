"""The transformer encoder of MaskFormer's other pixel decoder (Cheng et al. 2021, app. A).

The original's `TransformerEncoderPixelDecoder` is this encoder on the coarsest feature, and behind
it the pyramid. The transformer decoder looks at what it returns.
"""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.initializers import caffe_xavier
from projects.maskformer.modeling.position import SinePosition, flatten_pixels
from projects.maskformer.modeling.transformer import EncoderLayer


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class TransformerEncoder(tf_keras.layers.Layer):
  """A feature looks at itself: [b, h, w, c] → [b, h, w, width].

  No normalization follows the last layer's own.

  Args:
    width: channels of the layers; a projection to them comes first.
    heads: of every attention.
    hidden: channels inside the MLPs.
    depth: how many layers.
    rate: of every dropout.
  """

  def __init__(
    self, width: int, heads: int, hidden: int, depth: int, rate: float = 0.0, **kwargs: Any
  ) -> None:
    super().__init__(**kwargs)
    sizes = {"width": width, "heads": heads, "hidden": hidden, "depth": depth}
    self._config = sizes | {"rate": rate}
    self.projection = tf_keras.layers.Conv2D(
      width, 1, kernel_initializer=caffe_xavier(), name="projection"
    )
    self.positions = SinePosition(width, name="positions")
    self.layers = [
      EncoderLayer(width, heads, hidden, rate, name=f"layer{index}") for index in range(depth)
    ]

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = self.projection(inputs)
    _, height, width, channels = x.shape
    positions = flatten_pixels(self.positions(tf.ones(tf.shape(x)[:3], tf.bool)))
    x = flatten_pixels(x)
    for layer in self.layers:
      x = layer(x, positions, training=training)
    return tf.reshape(x, [-1, height, width, channels])

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
