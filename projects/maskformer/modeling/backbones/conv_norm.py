"""The backbone's convolutions: with a batch normalization that trains, or one that is frozen."""

from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.convolution import ConvNorm
from projects.maskformer.modeling.initializers import msra

_MOMENTUM = 0.9  # PyTorch's momentum of 0.1 is Keras' of 0.9.


def conv_norm(
  frozen: bool,
  filters: int,
  kernel_size: int,
  strides: int = 1,
  activation: str = "relu",
  **kwargs: Any,
) -> ConvNorm:
  """Convolution → normalization, frozen or not → activation, drawn as detectron2 draws it."""
  layer = FrozenConvNorm if frozen else ConvNorm
  options = {"kernel_initializer": msra(), "momentum": _MOMENTUM} | kwargs
  return layer(filters, kernel_size, strides, activation, **options)


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class FrozenNorm(tf_keras.layers.Layer):
  """Statistics and affine of a batch normalization that never change: no variable is trainable.

  It holds them; `FrozenConvNorm` computes with them.

  Args:
    epsilon: added to the variance before the square root.
  """

  def __init__(self, epsilon: float, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.epsilon = epsilon

  def build(self, input_shape: tf.TensorShape) -> None:
    self.gamma = self._add_constant("gamma", input_shape[-1], "ones")
    self.beta = self._add_constant("beta", input_shape[-1], "zeros")
    self.moving_mean = self._add_constant("moving_mean", input_shape[-1], "zeros")
    self.moving_variance = self._add_constant("moving_variance", input_shape[-1], "ones")
    super().build(input_shape)

  def _add_constant(self, name: str, channels: int, initializer: str) -> tf.Variable:
    dtype = "float64" if self.dtype == "float64" else "float32"
    options = {"trainable": False, "experimental_autocast": False}
    return self.add_weight(name, (channels,), dtype, initializer, **options)

  def scale_and_shift(self) -> tuple[tf.Tensor, tf.Tensor]:
    """[c] each: what a channel is multiplied with, and what is added then."""
    scale = self.gamma * tf.math.rsqrt(self.moving_variance + self.epsilon)
    return scale, self.beta - self.moving_mean * scale

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"epsilon": self.epsilon}


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class FrozenConvNorm(ConvNorm):
  """`ConvNorm` whose normalization is frozen: a factor of the kernel, and a bias.

  So convolution, bias and rectifier become one operation, and the gradient needs nothing but input
  and output.
  """

  def _make_norm(self, momentum: float, epsilon: float) -> tf_keras.layers.Layer:
    del momentum  # Statistics do not move.
    return FrozenNorm(epsilon, dtype=self.dtype_policy, name="norm")

  def build(self, input_shape: tf.TensorShape) -> None:
    for layer in (self.conv, self.norm):
      with tf.name_scope(layer.name):
        layer.build(input_shape)
      input_shape = self.conv.compute_output_shape(input_shape)
    super().build(input_shape)

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    del training  # It is the same.
    scale, shift = self.norm.scale_and_shift()
    kernel = tf.cast(tf.cast(self.conv.kernel, scale.dtype) * scale, inputs.dtype)
    x = self.conv.convolution_op(inputs, kernel)
    return self.activation(tf.nn.bias_add(x, tf.cast(shift, x.dtype)))
