"""ResNet v1.5 (He et al. 2016, with the stride in the 3×3 convolution), as transformers has it."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.convolution import ConvNorm
from official.layers.pooling import MaxPool

_NORM = {"momentum": 0.9, "epsilon": 1e-5}  # PyTorch's momentum of 0.1 is Keras' of 0.9.


class Stem(tf_keras.layers.Layer):
  """7×7 convolution and 3×3 pooling, each at stride 2: [b, h, w, 3] → [b, h / 4, w / 4, filters].

  Args:
    filters: output channels.
  """

  def __init__(self, filters: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.filters = filters
    self.conv = ConvNorm(filters, 7, 2, "relu", **_NORM, name="conv")
    self.pool = MaxPool(3, 2, name="pool")  # One row of −∞ on either side.

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    return self.pool(self.conv(inputs, training=training))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"filters": self.filters}


class Bottleneck(tf_keras.layers.Layer):
  """1×1, 3×3 and 1×1 convolutions around a shortcut.

  Args:
    filters: output channels; a quarter of them inside.
    strides: of the 3×3 convolution and the shortcut.
    project: whether the shortcut is a convolution; otherwise it is the input.
  """

  def __init__(self, filters: int, strides: int = 1, project: bool = False, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"filters": filters, "strides": strides, "project": project}
    inner = filters // 4
    self.reduce = ConvNorm(inner, 1, 1, "relu", **_NORM, name="reduce")
    self.conv = ConvNorm(inner, 3, strides, "relu", **_NORM, name="conv")
    self.expand = ConvNorm(filters, 1, 1, "linear", **_NORM, name="expand")
    self.shortcut = (
      ConvNorm(filters, 1, strides, "linear", **_NORM, name="shortcut") if project else None
    )

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """[b, h, w, c] → [b, ⌈h / strides⌉, ⌈w / strides⌉, filters]."""
    x = self.conv(self.reduce(inputs, training=training), training=training)
    x = self.expand(x, training=training)
    shortcut = self.shortcut(inputs, training=training) if self.shortcut else inputs
    return tf.nn.relu(x + shortcut)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


class Stage(tf_keras.layers.Layer):
  """Bottlenecks, the first of which may halve the resolution.

  Args:
    filters: output channels.
    depth: how many bottlenecks.
    strides: of the first.
  """

  def __init__(self, filters: int, depth: int, strides: int = 2, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"filters": filters, "depth": depth, "strides": strides}
    self.blocks = [
      Bottleneck(filters, 1 if index else strides, project=not index, name=f"block{index}")
      for index in range(depth)
    ]

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = inputs
    for block in self.blocks:
      x = block(x, training=training)
    return x

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


class ResNet(tf_keras.layers.Layer):
  """Image [b, h, w, 3] → the output of each stage, finest first, at strides 4, 8, ….

  Args:
    stem: channels of the stem.
    filters: channels of each stage.
    depths: bottlenecks of each stage.
  """

  def __init__(
    self, stem: int, filters: Sequence[int], depths: Sequence[int], **kwargs: Any
  ) -> None:
    super().__init__(**kwargs)
    self._config = {"stem": stem, "filters": list(filters), "depths": list(depths)}
    self.stem = Stem(stem, name="stem")
    self.stages = [
      Stage(width, depth, 2 if index else 1, name=f"stage{index}")
      for index, (width, depth) in enumerate(zip(filters, depths, strict=True))
    ]

  def call(self, inputs: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
    features = [self.stem(inputs, training=training)]
    for stage in self.stages:
      features.append(stage(features[-1], training=training))
    return features[1:]

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
