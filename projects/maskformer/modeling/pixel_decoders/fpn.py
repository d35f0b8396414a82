"""MaskFormer's pixel decoder: a feature pyramid with GroupNorm (Cheng et al. 2021, sec. 3.4)."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.convolution import Conv2D
from projects.maskformer.modeling.initializers import caffe_xavier
from projects.maskformer.modeling.normalization import GroupNorm


def resize_nearest(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """[b, h, w, c] → [b, height, width, c]; target pixel i takes source ⌊i · h / height⌋.

  The rule of PyTorch's `interpolate`; `tf.image.resize` rounds to pixel centres, which is another
  pixel wherever the ratio is no whole number.
  """
  if (height, width) == (2 * x.shape[1], 2 * x.shape[2]):
    return _twice(_twice(x, axis=2), axis=1)  # Copies, where `gather`'s gradient is a scatter.
  rows = tf.range(height) * x.shape[1] // height
  columns = tf.range(width) * x.shape[2] // width
  return tf.gather(tf.gather(x, rows, axis=1), columns, axis=2)


def _twice(x: tf.Tensor, axis: int) -> tf.Tensor:
  """[b, h, w, c] with each row or column repeated."""
  shape = [-1, *x.shape[1:]]
  shape[axis] *= 2
  return tf.reshape(tf.stack([x, x], axis=axis + 1), shape)


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class ConvGroupNorm(tf_keras.layers.Layer):
  """Convolution without bias → GroupNorm → rectifier or nothing.

  Args:
    filters: output channels.
    kernel_size: side of the kernel.
    rectify: whether the rectifier follows.
    groups: of the GroupNorm.
  """

  def __init__(
    self, filters: int, kernel_size: int, rectify: bool = True, groups: int = 32, **kwargs: Any
  ) -> None:
    super().__init__(**kwargs)
    self._config = {
      "filters": filters,
      "kernel_size": kernel_size,
      "rectify": rectify,
      "groups": groups,
    }
    self.conv = Conv2D(
      filters, kernel_size, use_bias=False, kernel_initializer=caffe_xavier(), name="conv"
    )
    self.norm = GroupNorm(groups, name="norm")
    self.rectify = rectify

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    x = self.norm(self.conv(inputs))
    return tf.nn.relu(x) if self.rectify else x

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class PyramidStep(tf_keras.layers.Layer):
  """Adds a lateral feature to the enlarged coarser one and smoothes the sum.

  Args:
    width: channels of the pyramid.
  """

  def __init__(self, width: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.width = width
    self.lateral = ConvGroupNorm(width, 1, rectify=False, name="lateral")
    self.smooth = ConvGroupNorm(width, 3, name="smooth")

  def call(self, coarse: tf.Tensor, lateral: tf.Tensor) -> tf.Tensor:
    """[b, h, w, width] and [b, H, W, c] → [b, H, W, width]."""
    lateral = self.lateral(lateral)
    return self.smooth(resize_nearest(coarse, *lateral.shape[1:3]) + lateral)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"width": self.width}


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class PixelDecoder(tf_keras.layers.Layer):
  """Backbone features, finest first → pixel embeddings at the finest resolution.

  Args:
    width: channels of the pyramid; a multiple of 32.
    mask_width: channels of the embedding.
    levels: how many features it reads.
  """

  def __init__(self, width: int, mask_width: int, levels: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"width": width, "mask_width": mask_width, "levels": levels}
    self.stem = ConvGroupNorm(width, 3, name="stem")
    self.steps = [PyramidStep(width, name=f"step{index}") for index in range(levels - 1)]
    self.embedding = Conv2D(mask_width, 3, kernel_initializer=caffe_xavier(), name="embedding")

  def call(self, features: Sequence[tf.Tensor]) -> tf.Tensor:
    """[b, hₙ, wₙ, cₙ] each → [b, h₀, w₀, mask_width]."""
    *finer, coarsest = features
    x = self.stem(coarsest)
    for step, lateral in zip(self.steps, reversed(finer), strict=True):
      x = step(x, lateral)
    return self.embedding(x)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
