"""MaskFormer's heads: a class and a mask embedding for each query (Cheng et al. 2021, sec. 3.3)."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.initializers import FanInUniform, linear
from projects.maskformer.modeling.projection import Dense


def _linear(units: int, name: str) -> Dense:
  """A projection drawn as PyTorch draws it."""
  drawn = {"kernel_initializer": linear(), "bias_initializer": FanInUniform()}
  return Dense(units, **drawn, name=name)


def mask_logits(embeddings: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
  """Products of each query's embedding [b, q, c] and each pixel's [b, h, w, c]: [b, q, h, w]."""
  _, height, width, channels = pixels.shape
  flat = tf.reshape(pixels, [-1, height * width, channels])
  logits = tf.matmul(embeddings, flat, transpose_b=True)
  return tf.reshape(logits, [-1, embeddings.shape[1], height, width])


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class MlpHead(tf_keras.layers.Layer):
  """Projections with a rectifier between each two: [.., c] → [.., output].

  Args:
    hidden: channels between projections.
    output: channels of the last.
    depth: how many projections.
  """

  def __init__(self, hidden: int, output: int, depth: int = 3, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"hidden": hidden, "output": output, "depth": depth}
    widths = [hidden] * (depth - 1) + [output]
    self.projections = [_linear(width, f"fc{index}") for index, width in enumerate(widths)]

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    x = inputs
    for projection in self.projections[:-1]:
      x = tf.nn.relu(projection(x))
    return self.projections[-1](x)

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class MaskHeads(tf_keras.layers.Layer):
  """Queries and pixel embeddings → classes and masks.

  Args:
    num_classes: without "no object", which is the last of the outputs.
    hidden: channels inside the mask MLP.
    mask_width: channels of the pixel embedding.
  """

  def __init__(self, num_classes: int, hidden: int, mask_width: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._config = {"num_classes": num_classes, "hidden": hidden, "mask_width": mask_width}
    self.classes = _linear(num_classes + 1, "classes")
    self.mask_embedding = MlpHead(hidden, mask_width, name="mask_embedding")

  def call(self, queries: tf.Tensor, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Predicts.

    Args:
      queries: [b, q, c].
      pixels: [b, h, w, mask_width].

    Returns:
      class_logits [b, q, num_classes + 1] and mask_logits [b, q, h, w].
    """
    masks = mask_logits(self.mask_embedding(queries), pixels)
    return {"class_logits": self.classes(queries), "mask_logits": masks}

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | self._config
