"""From rows to Keras layers: the one place that knows which layer a row's kind is."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.convolution import ConvNorm
from official.layers.upsampling import Upsample
from projects.yolo.modeling.rows import Rows


@dataclasses.dataclass(frozen=True)
class Style:
  """What all convolutions of a network share.

  Attributes:
    activation: a key of `official.layers.activations.ACTIVATIONS`.
    momentum: of BatchNorm.
    epsilon: of BatchNorm.
  """

  activation: str
  momentum: float = 0.97
  epsilon: float = 1e-5


@tf_keras.utils.register_keras_serializable(package="Transplant")
class ChannelGroup(tf_keras.layers.Layer):
  """Group `index` of `groups` equal groups of channels: [.., c] → [.., c / groups]."""

  def __init__(self, groups: int, index: int, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.groups, self.index = groups, index

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return tf.split(inputs, self.groups, axis=-1)[self.index]

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"groups": self.groups, "index": self.index}


def _conv(name: str, style: Style, **args: Any) -> ConvNorm:
  return ConvNorm(**args, **dataclasses.asdict(style), name=name)


def _pool(name: str, style: Style, **args: Any) -> tf_keras.layers.Layer:
  del style
  return tf_keras.layers.MaxPool2D(**args, padding="same", name=name)


def _plain(layer: type[tf_keras.layers.Layer]) -> Callable[..., tf_keras.layers.Layer]:
  return lambda name, style, **args: layer(**args, name=name)


LAYERS: dict[str, Callable[..., tf_keras.layers.Layer]] = {
  "add": _plain(tf_keras.layers.Add),
  "concat": _plain(tf_keras.layers.Concatenate),
  "conv": _conv,
  "group": _plain(ChannelGroup),
  "linear": _plain(tf_keras.layers.Identity),
  "pool": _pool,
  "upsample": _plain(Upsample),
}


def apply_rows(
  rows: Rows, inputs: dict[str, tf.Tensor], style: Style, last: str
) -> dict[str, tf.Tensor]:
  """Runs `rows` on Keras tensors.

  Args:
    rows: the table.
    inputs: tensors that rows may read by name.
    style: of every convolution.
    last: name of the input that the first row reads.

  Returns:
    Every row's output and every input, by name.
  """
  tensors = dict(inputs)
  for row in rows:
    sources = [tensors[name] for name in row.inputs or (last,)]
    layer = LAYERS[row.kind](row.name, style, **row.args)
    tensors[row.name] = layer(sources if len(sources) > 1 else sources[0])
    last = row.name
  return tensors
