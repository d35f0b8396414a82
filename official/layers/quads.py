"""First layers of a network on quads of pixels, as a TPU wants them.

A TPU keeps channels in rows of 128 numbers, and reads and writes the whole row. Of an image's three
channels 125 places stay empty, of a stem's 32 three quarters. Here 2×2 pixels are a row: [b, h, w,
c] is [b, h / 2, w / 2, 4 · c], in the order upper left, lower left, upper right, lower right.
MLPerf's programs for TPUs do so with a strided first convolution (`SpaceToDepthConv`); here it is
done also with one at full resolution, and the strided convolution or the pooling behind it.

An image is best laid out so on the host: on the device the rows of three would have to be read.

Variables and results are those of the layers that these stand for: a kernel's entries are laid out
anew, with zeros where a window ends inside a quad.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.convolution import Conv2D, ConvNorm
from official.layers.normalization import BatchNorm
from official.layers.precision import wide
from official.layers.tape import off_tape


def to_quads(x: tf.Tensor) -> tf.Tensor:
  """[b, h, w, c] → [b, h / 2, w / 2, 4 · c]; sides are even."""
  return tf.concat([x[:, row::2, column::2] for column in range(2) for row in range(2)], axis=-1)


def quad_convolution(x: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
  """A convolution of pixels, padded with (k − 1) / 2 zeros on either side, computed on quads.

  Args:
    x: [b, h / 2, w / 2, 4 · c].
    kernel: [k, k, c, f], k odd, of the pixels.
    strides: 1 or 2.

  Returns:
    At stride 2 pixels, [b, h / 2, w / 2, f]; at stride 1 quads, [b, h / 2, w / 2, 4 · f].
  """
  kernel, before, behind = kernel_of_quads(kernel, strides)
  padding = [[0, 0], [before, behind], [before, behind], [0, 0]]
  return tf.nn.conv2d(tf.pad(x, padding), kernel, 1, "VALID")


def kernel_of_quads(kernel: tf.Tensor, strides: int) -> tuple[tf.Tensor, int, int]:
  """[k, k, c, f] → [n, n, 4 · c, f or 4 · f], and how many quads it reaches back and ahead."""
  size = kernel.shape[0]
  reach = (size - 1) // 2
  before = (reach + 1) // 2  # In quads, from the one in which the first output lies.
  behind = (reach + 2 - strides) // 2
  quads = before + 1 + behind
  outputs = range(3 - strides)  # Along each axis of a quad.
  starts = [2 * before - reach + offset for offset in outputs]
  ends = [2 * quads - size - start for start in starts]
  spans = list(zip(starts, ends, strict=True))
  placed = [tf.pad(kernel, [rows, columns, [0, 0], [0, 0]]) for columns in spans for rows in spans]
  channels, filters = kernel.shape[2:]
  split = tf.reshape(tf.concat(placed, -1), [quads, 2, quads, 2, channels, len(placed) * filters])
  together = tf.transpose(split, [0, 2, 3, 1, 4, 5])
  return tf.reshape(together, [quads, quads, 4 * channels, len(placed) * filters]), before, behind


@tf_keras.utils.register_keras_serializable(package="Transplant")
class QuadConv2D(Conv2D):
  """`Conv2D` without groups or dilation on quads: see `quad_convolution`."""

  def build(self, input_shape: tf.TensorShape) -> None:
    super().build((*input_shape[:-1], input_shape[-1] // 4))
    self.input_spec = None  # Its kernel is that of the pixels, with fewer channels.

  def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return quad_convolution(inputs, kernel, self.strides[0])


@tf_keras.utils.register_keras_serializable(package="Transplant")
class QuadBatchNorm(BatchNorm):
  """`BatchNorm` of what lies in quads: [b, h / 2, w / 2, 4 · c], c parameters and statistics."""

  def build(self, input_shape: tf.TensorShape) -> None:
    super().build((*input_shape[:-1], input_shape[-1] // 4))

  def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    if not (training and self.trainable):
      scale = self.gamma * tf.math.rsqrt(self.moving_variance + self.epsilon)
      shift = self.beta - self.moving_mean * scale
      return tf.cast(wide(inputs) * _fourfold(scale) + _fourfold(shift), inputs.dtype)
    # In one pass over the inputs, from the moving mean, lest squares of a large mean cancel out.
    start = tf.convert_to_tensor(self.moving_mean)
    x = off_tape(wide(inputs)) - _fourfold(start)
    count = tf.cast(tf.size(x) // self.gamma.shape[0], x.dtype)
    ahead = _summed(x) / count
    variance = tf.maximum(_summed(tf.square(x)) / count - tf.square(ahead), 0)
    mean = start + ahead
    inverse = tf.math.rsqrt(variance + self.epsilon)
    gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
    outputs = _normalize(inputs, gamma, beta, mean, inverse)
    self._move(mean, variance * count / tf.maximum(count - 1, 1))
    return outputs


@tf.custom_gradient
def _normalize(
  x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, mean: tf.Tensor, inverse: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
  """As `official.layers.normalization` does for float64: by the statistics of x itself."""
  x, gamma, beta = off_tape(x), off_tape(gamma), off_tape(beta)

  def normalized() -> tf.Tensor:
    return (wide(x) - _fourfold(mean)) * _fourfold(inverse)

  def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
    dy, entries = wide(upstream), normalized()
    d_beta, d_gamma = _summed(dy), _summed(dy * entries)
    count = tf.cast(tf.size(x) // tf.size(gamma), dy.dtype)
    along = (_fourfold(d_beta) + entries * _fourfold(d_gamma)) / count
    dx = _fourfold(gamma * inverse) * (dy - along)
    return tf.cast(dx, x.dtype), d_gamma, d_beta, None, None

  outputs = normalized() * _fourfold(gamma) + _fourfold(beta)
  return tf.cast(outputs, x.dtype), gradient


def _fourfold(x: tf.Tensor) -> tf.Tensor:
  """[c] → [4 · c], for each pixel of a quad."""
  return tf.tile(x, [4])


def _summed(x: tf.Tensor) -> tf.Tensor:
  """[b, h / 2, w / 2, 4 · c] → [c]."""
  return tf.reduce_sum(tf.reshape(tf.reduce_sum(x, [0, 1, 2]), [4, -1]), 0)


@tf_keras.utils.register_keras_serializable(package="Transplant")
class QuadConvNorm(ConvNorm):
  """`ConvNorm` of [b, h / 2, w / 2, 4 · c]; at stride 1 its output lies in quads, too."""

  def _make_conv(self, **options: Any) -> Conv2D:
    return QuadConv2D(**options)

  def _make_norm(self, momentum: float, epsilon: float) -> tf_keras.layers.Layer:
    in_quads = self._config["strides"] == 1
    norm = QuadBatchNorm if in_quads else BatchNorm
    return norm(momentum, epsilon, dtype=self.dtype_policy, name="norm")


@tf_keras.utils.register_keras_serializable(package="Transplant")
class QuadMaxPool(tf_keras.layers.Layer):
  """2×2 max-pooling at stride 2 of what lies in quads: [b, h, w, 4 · c] → [b, h, w, c]."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    # Of equals the first gets the gradient, as in pooling: the left, then the upper one.
    rows = tf.maximum(*tf.split(inputs, 2, axis=-1))
    return tf.maximum(*tf.split(rows, 2, axis=-1))
