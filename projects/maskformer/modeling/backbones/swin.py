"""Swin as a backbone: each stage's output is normalized before it is merged to the next."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.backbones.patches import PatchEmbedding, PatchMerging
from projects.maskformer.modeling.backbones.swin_block import SwinBlock
from projects.maskformer.modeling.transformer import layer_norm


class SwinStage(tf_keras.layers.Layer):
  """Blocks without and with shifted windows in turn: [b, h, w, width] → the same.

  Args:
    width: channels.
    depth: how many blocks.
    heads: of every attention.
    window: side of a window in pixels.
  """

  def __init__(self, width: int, depth: int, heads: int, window: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"width": width, "depth": depth, "heads": heads, "window": window}
    self.blocks = [
      SwinBlock(width, heads, window, window // 2 if index % 2 else 0, name=f"block{index}")
      for index in range(depth)
    ]

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    x = inputs
    for block in self.blocks:
      x = block(x)
    return x

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


class Swin(tf_keras.layers.Layer):
  """Image [b, h, w, 3] → each stage's normalized output, finest first, at strides 4, 8, ….

  Args:
    width: channels of the first stage; they double from stage to stage.
    depths: blocks of each stage.
    heads: of each stage.
    window: side of a window in pixels.
  """

  def __init__(
    self, width: int, depths: Sequence[int], heads: Sequence[int], window: int, **kwargs: Any
  ) -> None:
    super().__init__(**kwargs)
    self._config = {"width": width, "depths": depths, "heads": heads, "window": window}
    self.embedding = PatchEmbedding(width, name="embedding")
    self.stages, self.norms, self.merges = [], [], []
    for index, (depth, head) in enumerate(zip(depths, heads, strict=True)):
      if index:
        self.merges.append(PatchMerging(name=f"merge{index}"))
      self.stages.append(SwinStage(width * 2**index, depth, head, window, name=f"stage{index}"))
      self.norms.append(layer_norm(f"norm{index}"))

  def call(self, inputs: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
    del training  # Nothing here trains otherwise than it runs.
    x = self.embedding(inputs)
    features = []
    for index, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
      x = stage(self.merges[index - 1](x) if index else x)
      features.append(norm(x))
    return features

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
