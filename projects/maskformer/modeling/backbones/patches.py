"""Swin's patches: their embedding, and merging four into one between stages."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.initializers import FanInUniform, linear, swin
from projects.maskformer.modeling.normalization import LayerNorm
from projects.maskformer.modeling.projection import Dense


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class PatchEmbedding(tf_keras.layers.Layer):
  """Patches side by side, each projected and normalized: [b, h, w, 3] → [b, ⌈h/p⌉, ⌈w/p⌉, width].

  Args:
    width: output channels.
    patch: side of a patch in pixels; images are padded with zeros below and right.
  """

  def __init__(self, width: int, patch: int = 4, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.width, self.patch = width, patch
    self.projection = tf_keras.layers.Conv2D(
      width,
      patch,
      patch,
      kernel_initializer=linear(),
      bias_initializer=FanInUniform(3 * patch**2),
      name="projection",
    )
    self.norm = LayerNorm(name="norm")

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    height, width = inputs.shape[1:3]
    x = tf.pad(inputs, [[0, 0], [0, -height % self.patch], [0, -width % self.patch], [0, 0]])
    return self.norm(self.projection(x))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"width": self.width, "patch": self.patch}


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class PatchMerging(tf_keras.layers.Layer):
  """Four neighbours' channels beside each other, normalized and halved.

  [b, h, w, c] → [b, ⌈h / 2⌉, ⌈w / 2⌉, 2 · c]; odd sides are padded with zeros.
  """

  def build(self, input_shape: tf.TensorShape) -> None:
    self.norm = LayerNorm(name="norm")
    self.reduction = Dense(
      2 * input_shape[-1], use_bias=False, kernel_initializer=swin(), name="reduction"
    )
    super().build(input_shape)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    height, width = inputs.shape[1:3]
    x = tf.pad(inputs, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]])
    # Column by column: (0, 0), (1, 0), (0, 1), (1, 1), as Swin's weights were trained.
    x = tf.concat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], axis=-1)
    return self.reduction(self.norm(x))
