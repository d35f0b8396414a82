"""Convolutions padded as the originals pad: the same number of zeros on both sides.

TensorFlow's SAME puts the odd zero of a strided convolution behind; PyTorch and Darknet put
(kernel − 1) / 2 on either side. At stride 2 the two see different pixels.
"""

from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.activations import ACTIVATIONS
from official.layers.normalization import BatchNorm


@tf_keras.utils.register_keras_serializable(package="Transplant")
class Conv2D(tf_keras.layers.Conv2D):
  """`tf_keras.layers.Conv2D` with symmetric zero padding of (kernel − 1) // 2; kernel is odd.

  A dilated kernel is padded by that times the dilation; `padding="valid"` pads nothing. The kernel
  is [k, k, c / groups, filters] whatever the groups, and every kind of group has a gradient on
  every device.
  """

  def __init__(self, filters: int, kernel_size: int, strides: int = 1, **kwargs: Any) -> None:
    super().__init__(filters, kernel_size, strides, **{"padding": "same", **kwargs})

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    outputs = self.convolution_op(inputs, self.kernel)
    if self.use_bias:
      # Not by `bias_add`: on CPUs its gradient sums bfloat16 in bfloat16, and is 5 % off.
      outputs += self.bias
    return self.activation(outputs)

  def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    if self.dilation_rate == (1, 1):
      return self._convolve(inputs, kernel, self.padding == "same")
    # In float64 TensorFlow has no gradient of dilated convolutions on CPUs.
    apart = lambda x, *_: self._convolve(x, kernel, False)  # noqa: E731
    rate, padding = self.dilation_rate, self.padding.upper()
    return tf.nn.with_space_to_batch(inputs, rate, padding, apart, self.kernel_size)

  def _convolve(self, inputs: tf.Tensor, kernel: tf.Tensor, padded: bool) -> tf.Tensor:
    each_side = (self.kernel_size[0] - 1) // 2 if padded else 0
    # Not by `conv2d`'s own list of paddings: oneDNN, fast on CPUs, has no gradients of such.
    padding = "SAME" if each_side and self.strides == (1, 1) else "VALID"
    if each_side and padding == "VALID":
      inputs = tf.pad(inputs, [[0, 0], [each_side] * 2, [each_side] * 2, [0, 0]])
    if self.groups == 1:
      return tf.nn.conv2d(inputs, kernel, self.strides, padding)
    if kernel.shape[2] == 1:
      apart = tf.reshape(kernel, [*self.kernel_size, self.groups, self.filters // self.groups])
      return tf.nn.depthwise_conv2d(inputs, apart, [1, *self.strides, 1], padding)
    # TensorFlow has no gradient of grouped convolutions on CPUs.
    pairs = zip(tf.split(inputs, self.groups, -1), tf.split(kernel, self.groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(x, k, self.strides, padding) for x, k in pairs], -1)


@tf_keras.utils.register_keras_serializable(package="Transplant")
class ConvNorm(tf_keras.layers.Layer):
  """Convolution without bias → BatchNorm → activation: Darknet's `[convolutional]` section.

  [b, h, w, c] → [b, ⌈h / strides⌉, ⌈w / strides⌉, filters].

  Args:
    filters: output channels.
    kernel_size: side of the kernel, odd.
    strides: of both axes.
    activation: a key of `ACTIVATIONS`.
    momentum: of the BatchNorm.
    epsilon: of the BatchNorm.
    groups: of channels that are convolved apart.
    padding: "same" or "valid", see `Conv2D`.
    dilation: of both axes.
    kernel_initializer: of the kernel; None: PyTorch's default, uniform in ±1 / √(c · kernel²).
  """

  def __init__(
    self,
    filters: int,
    kernel_size: int = 3,
    strides: int = 1,
    activation: str = "leaky",
    momentum: float = 0.97,
    epsilon: float = 1e-5,
    groups: int = 1,
    padding: str = "same",
    dilation: int = 1,
    kernel_initializer: Any = None,
    **kwargs: Any,
  ) -> None:
    super().__init__(**kwargs)
    pytorch = tf_keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    initializer = tf_keras.initializers.get(kernel_initializer or pytorch)
    self._config = {
      "filters": filters,
      "kernel_size": kernel_size,
      "strides": strides,
      "activation": activation,
      "momentum": momentum,
      "epsilon": epsilon,
      "groups": groups,
      "padding": padding,
      "dilation": dilation,
      "kernel_initializer": tf_keras.initializers.serialize(initializer),
    }
    self.conv = self._make_conv(
      filters=filters,
      kernel_size=kernel_size,
      strides=strides,
      groups=groups,
      padding=padding,
      dilation_rate=dilation,
      use_bias=False,
      kernel_initializer=initializer,
      dtype=self.dtype_policy,
      name="conv",
    )
    self.norm = self._make_norm(momentum, epsilon)
    self.activation = ACTIVATIONS[activation]

  def _make_conv(self, **options: Any) -> Conv2D:
    return Conv2D(**options)

  def _make_norm(self, momentum: float, epsilon: float) -> tf_keras.layers.Layer:
    return BatchNorm(momentum, epsilon, dtype=self.dtype_policy, name="norm")

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    return self.activation(self.norm(self.conv(inputs), training=training))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
