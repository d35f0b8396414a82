"""Implicit knowledge (Wang et al. 2021, YOLOR): learned vectors beside the image.

YOLOv7's outputs are scale · (W · (x + shift) + b): both fold into W and b (see `deploy.py`).
"""

from typing import Any

import tensorflow as tf
import tf_keras

_SPREAD = 0.02  # Of initial values, as the original's.


class _Implicit(tf_keras.layers.Layer):
  """A vector [c] that is drawn around `mean`."""

  mean: float

  def build(self, input_shape: Any) -> None:
    self.implicit = self.add_weight(
      "implicit",
      shape=[input_shape[-1]],
      initializer=tf_keras.initializers.RandomNormal(self.mean, _SPREAD),
    )
    super().build(input_shape)


@tf_keras.utils.register_keras_serializable(package="Transplant")
class ImplicitShift(_Implicit):
  """x + implicit: [..., c] → [..., c]; ImplicitA of the original."""

  mean = 0.0

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return inputs + self.implicit


@tf_keras.utils.register_keras_serializable(package="Transplant")
class ImplicitScale(_Implicit):
  """x · implicit: [..., c] → [..., c]; ImplicitM of the original."""

  mean = 1.0

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return inputs * self.implicit
