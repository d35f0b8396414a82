"""A dense layer whose bias has a gradient as exact as its dtype allows."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.initializers import FanInUniform


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class Dense(tf_keras.layers.Dense):
  """`tf_keras.layers.Dense` that adds its bias by broadcasting: [.., c] → [.., units].

  The gradient of `tf.nn.bias_add` sums in bfloat16 on CPUs, one value after the other: among 140
  tokens it is off by 3 %, ten times as much as PyTorch's.
  """

  def build(self, input_shape: Any) -> None:
    if isinstance(self.bias_initializer, FanInUniform):
      self.bias_initializer = FanInUniform(int(input_shape[-1]))
    super().build(input_shape)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    outputs = tf.tensordot(inputs, self.kernel, 1)
    return outputs + self.bias if self.use_bias else outputs
