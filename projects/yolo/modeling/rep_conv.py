"""Planned re-parameterized convolution (Wang et al. 2022, sec. 4.1; RepVGG, Ding et al. 2021).

Training sums a 3×3, a 1×1 and, where input and output have the same channels, the input itself,
each behind its own BatchNorm. At inference the sum is one 3×3 with a bias.
"""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from official.layers.activations import ACTIVATIONS
from official.layers.convolution import ConvNorm
from official.layers.normalization import BatchNorm


@tf_keras.utils.register_keras_serializable(package="Transplant")
class RepConvNorm(tf_keras.layers.Layer):
  """The form of training: [b, h, w, c] → [b, h, w, filters].

  Args:
    filters: output channels.
    activation: a key of `ACTIVATIONS`.
    momentum: of the BatchNorms.
    epsilon: of the BatchNorms.
  """

  def __init__(
    self,
    filters: int,
    activation: str = "swish",
    momentum: float = 0.97,
    epsilon: float = 1e-3,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    norm = {"momentum": momentum, "epsilon": epsilon}
    self._config = {"filters": filters, "activation": activation} | norm
    branch = norm | {"activation": "linear", "dtype": self.dtype_policy}
    self.dense = ConvNorm(filters, 3, **branch, name="dense")
    self.point = ConvNorm(filters, 1, **branch, name="point")
    self.identity: BatchNorm | None = None
    self.activation = ACTIVATIONS[activation]

  def build(self, input_shape: Any) -> None:
    if input_shape[-1] == self._config["filters"]:
      config = self._config
      norm = (config["momentum"], config["epsilon"])
      self.identity = BatchNorm(*norm, dtype=self.dtype_policy, name="identity")
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    x = self.dense(inputs, training=training) + self.point(inputs, training=training)
    if self.identity is not None:
      x += self.identity(inputs, training=training)
    return self.activation(x)

  def fused(self) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [3, 3, c, filters] and bias [filters] of the one convolution that does the same."""
    kernel, bias = _folded(self.dense.conv.kernel.numpy(), self.dense.norm)
    point, point_bias = _folded(self.point.conv.kernel.numpy(), self.point.norm)
    kernel[1:2, 1:2] += point
    bias = bias + point_bias
    if self.identity is not None:
      unit = np.eye(len(bias), dtype=kernel.dtype)[None, None]
      unit, identity_bias = _folded(unit, self.identity)
      kernel[1:2, 1:2] += unit
      bias = bias + identity_bias
    return kernel, bias

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


def _folded(kernel: np.ndarray, norm: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
  """`kernel` and bias of a convolution that is followed by no BatchNorm any more."""
  scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
  return kernel * scale, norm.beta.numpy() - norm.moving_mean.numpy() * scale
