"""ResNet v1.5: He et al. 2016, with the stride in the 3×3 convolution.

As transformers has it, and as the original takes it from detectron2: there, normalization is
frozen, and the "c" variants have DeepLab's stem and dilated convolutions in the last stage, whose
stride stays 2.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.pooling import MaxPool
from projects.maskformer.modeling.backbones.conv_norm import conv_norm
from projects.maskformer.modeling.initializers import CentredMsra


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class Stem(tf_keras.layers.Layer):
  """7×7 convolution and 3×3 pooling, each at stride 2: [b, h, w, 3] → [b, h / 4, w / 4, filters].

  Args:
    filters: output channels.
    frozen: whether normalizations are.
  """

  def __init__(self, filters: int, frozen: bool = False, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"filters": filters, "frozen": frozen}
    self.conv = conv_norm(frozen, filters, 7, 2, name="conv")
    self.pool = MaxPool(3, 2, name="pool")  # One row of −∞ on either side.

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    return self.pool(self.conv(inputs, training=training))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class DeepStem(tf_keras.layers.Layer):
  """Three 3×3 convolutions, the first at stride 2, and pooling at stride 2, as DeepLab has it.

  [b, h, w, 3] → [b, h / 4, w / 4, filters].

  Args:
    filters: output channels; half of them behind the first two convolutions.
    frozen: whether normalizations are.
  """

  def __init__(self, filters: int, frozen: bool = False, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"filters": filters, "frozen": frozen}
    sizes = ((filters // 2, 2), (filters // 2, 1), (filters, 1))
    self.convs = [
      conv_norm(frozen, width, 3, strides, name=f"conv{index}", kernel_initializer=CentredMsra())
      for index, (width, strides) in enumerate(sizes)
    ]
    self.pool = MaxPool(3, 2, name="pool")

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = inputs
    for conv in self.convs:
      x = conv(x, training=training)
    return self.pool(x)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class Bottleneck(tf_keras.layers.Layer):
  """1×1, 3×3 and 1×1 convolutions around a shortcut.

  Args:
    filters: output channels; a quarter of them inside.
    strides: of the 3×3 convolution and the shortcut.
    project: whether the shortcut is a convolution; otherwise it is the input.
    dilation: of the 3×3 convolution.
    frozen: whether normalizations are.
  """

  def __init__(
    self,
    filters: int,
    strides: int = 1,
    project: bool = False,
    dilation: int = 1,
    frozen: bool = False,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    sizes = {"filters": filters, "strides": strides, "project": project}
    self._config = sizes | {"dilation": dilation, "frozen": frozen}
    inner = filters // 4
    self.reduce = conv_norm(frozen, inner, 1, name="reduce")
    self.conv = conv_norm(frozen, inner, 3, strides, dilation=dilation, name="conv")
    self.expand = conv_norm(frozen, filters, 1, activation="linear", name="expand")
    self.shortcut = None
    if project:
      self.shortcut = conv_norm(frozen, filters, 1, strides, "linear", name="shortcut")

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """[b, h, w, c] → [b, ⌈h / strides⌉, ⌈w / strides⌉, filters]."""
    x = self.conv(self.reduce(inputs, training=training), training=training)
    x = self.expand(x, training=training)
    shortcut = self.shortcut(inputs, training=training) if self.shortcut else inputs
    return tf.nn.relu(x + shortcut)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class Stage(tf_keras.layers.Layer):
  """Bottlenecks, the first of which may halve the resolution.

  Args:
    filters: output channels.
    depth: how many bottlenecks.
    strides: of the first.
    dilations: of each; empty: 1.
    frozen: whether normalizations are.
  """

  def __init__(
    self,
    filters: int,
    depth: int,
    strides: int = 2,
    dilations: Sequence[int] = (),
    frozen: bool = False,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    sizes = {"filters": filters, "depth": depth, "strides": strides}
    self._config = sizes | {"dilations": list(dilations), "frozen": frozen}
    self.blocks = []
    for index, dilation in enumerate(dilations or [1] * depth):
      sizes = (filters, 1 if index else strides, not index, dilation, frozen)
      self.blocks.append(Bottleneck(*sizes, name=f"block{index}"))

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = inputs
    for block in self.blocks:
      x = block(x, training=training)
    return x

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class ResNet(tf_keras.layers.Layer):
  """Image [b, h, w, 3] → the output of each stage, finest first, at strides 4, 8, ….

  Args:
    stem: channels of the stem.
    filters: channels of each stage.
    depths: bottlenecks of each stage.
    deep_stem: whether the stem is `DeepStem`.
    dilations: of the last stage's bottlenecks; empty: 1.
    frozen: whether normalizations are.
  """

  def __init__(
    self,
    stem: int,
    filters: Sequence[int],
    depths: Sequence[int],
    deep_stem: bool = False,
    dilations: Sequence[int] = (),
    frozen: bool = False,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    sizes = {"stem": stem, "filters": list(filters), "depths": list(depths)}
    self._config = sizes | {"deep_stem": deep_stem, "dilations": list(dilations), "frozen": frozen}
    self.stem = (DeepStem if deep_stem else Stem)(stem, frozen, name="stem")
    self.stages = [
      Stage(width, depth, 2 if index else 1, frozen=frozen, name=f"stage{index}")
      for index, (width, depth) in enumerate(zip(filters[:-1], depths[:-1], strict=True))
    ]
    last = len(self.stages)
    strides = 2 if last else 1
    self.stages.append(
      Stage(filters[-1], depths[-1], strides, dilations, frozen, name=f"stage{last}")
    )

  def call(self, inputs: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
    features = [self.stem(inputs, training=training)]
    for stage in self.stages:
      features.append(stage(features[-1], training=training))
    return features[1:]

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
