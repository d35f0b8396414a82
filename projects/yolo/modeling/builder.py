"""From rows to Keras layers: the one place that knows which layer a row's kind is."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from official.layers.activations import Activation
from official.layers.convolution import Conv2D, ConvNorm
from official.layers.pooling import MaxPool
from official.layers.quads import QuadConvNorm, QuadMaxPool
from official.layers.upsampling import Upsample
from projects.yolo.modeling.darknet.activations import DarknetActivation, DarknetConvNorm
from projects.yolo.modeling.darknet.reorg import Reorg
from projects.yolo.modeling.layers import ChannelGroup, SpaceToDepth, SplitAnchors
from projects.yolo.modeling.rows import Rows


@dataclasses.dataclass(frozen=True)
class Style:
  """What the convolutions of a network share, where a row does not say otherwise.

  Attributes:
    activation: a key of `official.layers.activations.ACTIVATIONS`.
    momentum: of BatchNorm.
    epsilon: of BatchNorm.
  """

  activation: str
  momentum: float = 0.97
  epsilon: float = 1e-5


def _conv(name: str, style: Style, **args: Any) -> ConvNorm:
  return ConvNorm(**dataclasses.asdict(style) | args, name=name)


def _quad_conv(name: str, style: Style, **args: Any) -> QuadConvNorm:
  return QuadConvNorm(**dataclasses.asdict(style) | args, name=name)


def _darknet_conv(name: str, style: Style, **args: Any) -> ConvNorm:
  return DarknetConvNorm(**dataclasses.asdict(style) | args, name=name)


def _plain(layer: Callable[..., tf_keras.layers.Layer]) -> Callable[..., tf_keras.layers.Layer]:
  return lambda name, style, **args: layer(**args, name=name)


LAYERS: dict[str, Callable[..., tf_keras.layers.Layer]] = {
  "activation": _plain(Activation),
  "add": _plain(tf_keras.layers.Add),
  "biased": _plain(Conv2D),
  "concat": _plain(tf_keras.layers.Concatenate),
  "conv": _conv,
  "darknet_activation": _plain(DarknetActivation),
  "darknet_conv": _darknet_conv,
  "group": _plain(ChannelGroup),
  "linear": _plain(tf_keras.layers.Identity),
  "mean": _plain(functools.partial(tf_keras.layers.GlobalAveragePooling2D, keepdims=True)),
  "multiply": _plain(tf_keras.layers.Multiply),
  "pool": _plain(MaxPool),
  "quad_conv": _quad_conv,
  "quad_pool": _plain(QuadMaxPool),
  "reorg": _plain(Reorg),
  "space_to_depth": _plain(SpaceToDepth),
  "split": _plain(SplitAnchors),
  "upsample": _plain(Upsample),
}


def network_input(shape: Sequence[int | None], name: str) -> tf.Tensor:
  """The input of a Keras model, in the precision of variables: a model rounds what it is given to
  its inputs' dtype, which Keras leaves at float32 under a float64 policy."""
  dtype = tf_keras.mixed_precision.global_policy().variable_dtype
  return tf_keras.Input(shape, name=name, dtype=dtype)


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
