"""Which weights decay, and which are biases: by what a variable is, not by its name."""

from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.normalization import BatchNorm


def kernels(model: tf_keras.Model) -> set[Any]:
  """`ref()`s of the convolutions' kernels, which decay."""
  return {kernel.ref() for kernel in convolution_kernels(model)}


def convolution_kernels(model: tf_keras.Model) -> list[tf.Variable]:
  """The same, as variables."""
  return [layer.kernel for layer in model.submodules if _is_convolution(layer)]


def biases(model: tf_keras.Model) -> list[tf.Variable]:
  """Biases of convolutions and of BatchNorm, which the originals start at a higher rate."""
  found = [layer.bias for layer in model.submodules if _is_convolution(layer) and layer.use_bias]
  return found + [layer.beta for layer in model.submodules if isinstance(layer, BatchNorm)]


def _is_convolution(layer: Any) -> bool:
  return isinstance(layer, tf_keras.layers.Conv2D)
