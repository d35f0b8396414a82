"""Layers that move channels: groups of them, pixels into them, and out into each anchor's."""

from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.quads import to_quads


@tf_keras.utils.register_keras_serializable(package="Transplant")
class ChannelGroup(tf_keras.layers.Layer):
  """Group `index` of `groups` equal groups of channels: [.., c] → [.., c / groups]."""

  def __init__(self, groups: int, index: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.groups, self.index = groups, index

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return tf.split(inputs, self.groups, axis=-1)[self.index]

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"groups": self.groups, "index": self.index}


@tf_keras.utils.register_keras_serializable(package="Transplant")
class SpaceToDepth(tf_keras.layers.Layer):
  """Each 2×2 pixels into channels: [b, h, w, c] → [b, h / 2, w / 2, 4 · c].

  In the order of yolov7's ReOrg: upper left, lower left, upper right, lower right.
  """

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return to_quads(inputs)


@tf_keras.utils.register_keras_serializable(package="Transplant")
class SplitAnchors(tf_keras.layers.Layer):
  """[b, h, w, anchors · n] → [b, h, w, anchors, n], in float32 or better."""

  def __init__(self, anchors: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.anchors = anchors

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(inputs)
    height, width = (inputs.shape[i] or shape[i] for i in (1, 2))
    outputs = tf.reshape(
      inputs, [-1, height, width, self.anchors, inputs.shape[-1] // self.anchors]
    )
    return outputs if inputs.dtype == tf.float64 else tf.cast(outputs, tf.float32)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"anchors": self.anchors}
