"""Convolutions, pooling and resizing that see other pixels."""

import tensorflow as tf

from benchmarks.parity.defects.planting import Plant, at, attributes, both, transform, wrong
from official.layers.convolution import Conv2D
from official.layers.pooling import MaxPool
from projects.maskformer.modeling.backbones.patches import PatchMerging
from projects.maskformer.modeling.pixel_decoders.fpn import PyramidStep


class SameConv2D(Conv2D):
  """TensorFlow's SAME: at stride 2 the odd zero goes behind."""

  def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(inputs, kernel, self.strides, "SAME")


class FlippedConv2D(Conv2D):
  """A convolution in the mathematicians' sense: the kernel is mirrored."""

  def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return super().convolution_op(inputs, kernel[::-1, ::-1])


class UnbiasedConv2D(Conv2D):
  """The bias is there and is not added."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.convolution_op(inputs, self.kernel)


class SamePool(MaxPool):
  """TensorFlow's SAME."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(inputs, self.size, self.strides, "SAME")


class AveragePool(MaxPool):
  """Averages instead of maxima."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    padded = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return tf.nn.avg_pool2d(padded, self.size, self.strides, "VALID")


class CentredPyramidStep(PyramidStep):
  """Enlarged by `tf.image.resize`, whose nearest pixel is another unless the ratio is whole."""

  def call(self, coarse: tf.Tensor, lateral: tf.Tensor) -> tf.Tensor:
    lateral = self.lateral(lateral)
    return self.smooth(tf.image.resize(coarse, lateral.shape[1:3], "nearest") + lateral)


class BilinearPyramidStep(PyramidStep):
  """Enlarged with interpolation."""

  def call(self, coarse: tf.Tensor, lateral: tf.Tensor) -> tf.Tensor:
    lateral = self.lateral(lateral)
    enlarged = tf.cast(tf.image.resize(coarse, lateral.shape[1:3]), lateral.dtype)
    return self.smooth(enlarged + lateral)


class PaddedInFront(PatchMerging):
  """Odd sides get their zeros above and left."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    height, width = inputs.shape[1:3]
    x = tf.pad(inputs, [[0, 0], [height % 2, 0], [width % 2, 0], [0, 0]])
    x = tf.concat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], axis=-1)
    return self.reduction(self.norm(x))


class RowsFirst(PatchMerging):
  """The four neighbours row by row."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    height, width = inputs.shape[1:3]
    x = tf.pad(inputs, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]])
    x = tf.concat([x[:, row::2, column::2] for row in (0, 1) for column in (0, 1)], axis=-1)
    return self.reduction(self.norm(x))


def _strided_early(block: str) -> Plant:
  """ResNet v1: the first 1×1 convolution has the stride, not the 3×3 one."""
  return both(
    attributes(f"{block}/reduce/conv", strides=(2, 2)),
    attributes(f"{block}/conv/conv", strides=(1, 1)),
  )


_MODULES = {
  "stem/conv/conv": "embedder.embedder.convolution.weight",
  "step0/smooth/conv": "fpn.layers.0.block.0.weight",
}

DEFECTS = (
  *at(
    "SAME padding at stride 2",
    "padding",
    wrong(SameConv2D),
    ("maskformer", "backbone/stem/conv/conv"),
    ("resnet_stage", "block0/conv/conv"),
  ),
  *at(
    "odd sides padded in front",
    "padding",
    wrong(PaddedInFront),
    ("patch_merging", ""),
  ),
  *at(
    "kernel mirrored",
    "kernel_flipped",
    wrong(FlippedConv2D),
    ("resnet", "stem/conv/conv"),
    ("pixel_decoder", "step1/smooth/conv"),
  ),
  *at(
    "stride in the wrong convolution",
    "stride_or_dilation",
    lambda layer: _strided_early(layer.removesuffix("/reduce/conv")),
    ("resnet_stage", "block0/reduce/conv"),
    ("maskformer", "backbone/stage1/block0/reduce/conv"),
  ),
  *at(
    "rows and columns of a kernel exchanged",
    "kernel_transposed",
    lambda layer: transform(_MODULES[layer], "o i h w -> w h i o"),
    ("resnet", "stem/conv/conv"),
    ("pixel_decoder", "step0/smooth/conv"),
  ),
  *at(
    "bias of a convolution not added",
    "bias_missing",
    wrong(UnbiasedConv2D),
    ("pixel_decoder", "embedding"),
    ("maskformer", "pixel_decoder/embedding"),
  ),
  *at(
    "average pooling",
    "pool_kind",
    wrong(AveragePool),
    ("resnet", "stem/pool"),
    ("maskformer", "backbone/stem/pool"),
  ),
  *at(
    "SAME pooling at stride 2",
    "padding",
    wrong(SamePool),
    ("resnet", "stem/pool"),
    ("maskformer", "backbone/stem/pool"),
  ),
  *at(
    "nearest pixel by centres",
    "resize_coordinates",
    wrong(CentredPyramidStep),
    ("pixel_decoder", "step0"),
    ("pixel_decoder", "step1"),
  ),
  *at(
    "bilinear instead of nearest",
    "resize_method",
    wrong(BilinearPyramidStep),
    ("pixel_decoder", "step1"),
    ("maskformer", "pixel_decoder/step0"),
  ),
  *at(
    "four patches merged row by row",
    "concat_order",
    wrong(RowsFirst),
    ("patch_merging", ""),
    ("swin", "merge1"),
  ),
)
