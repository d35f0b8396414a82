"""Swin as a backbone: each stage's output is normalized before it is merged to the next."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.backbones.patches import PatchEmbedding, PatchMerging
from projects.maskformer.modeling.backbones.swin_block import SwinBlock
from projects.maskformer.modeling.normalization import LayerNorm


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class SwinStage(tf_keras.layers.Layer):
  """Blocks without and with shifted windows in turn: [b, h, w, width] → the same.

  Args:
    width: channels.
    depth: how many blocks.
    heads: of every attention.
    window: side of a window in pixels.
    rates: of stochastic depth, one for each block; empty: none.
  """

  def __init__(
    self,
    width: int,
    depth: int,
    heads: int,
    window: int,
    rates: Sequence[float] = (),
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    sizes = {"width": width, "depth": depth, "heads": heads, "window": window}
    self._config = sizes | {"rates": list(rates)}
    self.blocks = [
      SwinBlock(width, heads, window, window // 2 if index % 2 else 0, rate, name=f"block{index}")
      for index, rate in enumerate(rates or [0.0] * depth)
    ]

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = inputs
    for block in self.blocks:
      x = block(x, training=training)
    return x

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class Swin(tf_keras.layers.Layer):
  """Image [b, h, w, 3] → each stage's normalized output, finest first, at strides 4, 8, ….

  Args:
    width: channels of the first stage; they double from stage to stage.
    depths: blocks of each stage.
    heads: of each stage.
    window: side of a window in pixels.
    rate: of stochastic depth at the last block; it rises from 0 at the first, evenly.
  """

  def __init__(
    self,
    width: int,
    depths: Sequence[int],
    heads: Sequence[int],
    window: int,
    rate: float = 0.0,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    sizes = {"width": width, "depths": list(depths), "heads": list(heads)}
    self._config = sizes | {"window": window, "rate": rate}
    rates = np.linspace(0, rate, sum(depths)).tolist()
    self.embedding = PatchEmbedding(width, name="embedding")
    self.stages, self.norms, self.merges = [], [], []
    for index, (depth, head) in enumerate(zip(depths, heads, strict=True)):
      if index:
        self.merges.append(PatchMerging(name=f"merge{index}"))
      own, rates = rates[:depth], rates[depth:]
      sizes = (width * 2**index, depth, head, window)
      self.stages.append(SwinStage(*sizes, own, name=f"stage{index}"))
      self.norms.append(LayerNorm(name=f"norm{index}"))

  def call(self, inputs: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
    x = self.embedding(inputs)
    features = []
    for index, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
      x = stage(self.merges[index - 1](x) if index else x, training=training)
      features.append(norm(x))
    return features

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
