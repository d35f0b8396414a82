"""Batches for YOLO: images and padded boxes of fixed shape.

Training: images [b, s, s, 3] uint8, and labels
  boxes    [b, n, 4] float32, normalized yxyx of the s x s input
  classes  [b, n] int32, -1 where there is none
  valid    [b, n] bool
Crowd regions are left out.

Evaluation: the same, crowds included, and in labels besides
  image_info    [b, 4] float32, see `projects.yolo.ops.geometry`
  groundtruths  source_id [b] int64, height and width [b] int32, boxes [b, n, 4] float32 in original
                pixels, yxyx, classes [b, n] int32, is_crowd [b, n] bool, area [b, n] float32,
                valid [b, n] bool, present [b] bool, False where an example only fills the batch
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from official.training import pixels
from official.training.input_reader import ResumableInputReader
from projects.yolo.configs.data import DataConfig
from projects.yolo.dataloaders import decoder as decoders
from projects.yolo.dataloaders.sampler import GroupSampler
from projects.yolo.ops import geometry

Tensors = dict[str, Any]


def build_dataset(
  params: DataConfig,
  *,
  input_size: int,
  category_ids: Sequence[int],
  input_context: tf.distribute.InputContext | None = None,
  start_step: int = 0,
) -> tf.data.Dataset:
  """Batches of `global_batch_size` over the number of replicas, as the module describes.

  Args:
    params: where the data is, and how it is augmented.
    input_size: side of the square input in pixels.
    category_ids: the data set's category ids in the order of classes; empty where its labels are
      contiguous already. Without effect on TFDS.
    input_context: which of how many input pipelines this is.
    start_step: how many steps of training are done; the data goes on from there.

  Raises:
    UserError: options contradict each other, or there is no such data.
  """
  if params.tfds_name:
    decoder = decoders.TfdsDecoder()
    params = params.replace(tfds_skip_decoding_feature="image")
  else:
    decoder = decoders.RecordDecoder(category_ids)
  augmentation = params.augmentation
  reader = ResumableInputReader(
    params,
    decoder_fn=decoder.decode,
    sample_fn=GroupSampler(augmentation, input_size, params.max_boxes),
    parser_fn=None if params.is_training else Parser(params, input_size).parse,
    padding=decoders.PADDING,
    group_size=augmentation.group_size,
    start_step=start_step,
  )
  return reader.read(input_context)


class Parser:
  """Makes decoded examples (`projects.yolo.dataloaders.decoder`) into images and labels.

  Args:
    params: of the data.
    input_size: side of the square input in pixels.
  """

  def __init__(self, params: DataConfig, input_size: int) -> None:
    self._size, self._max_boxes = input_size, params.max_boxes
    self._fit = geometry.fitting(params.letterbox)

  def parse(self, example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, Tensors]:
    """An image, and labels with the ground truth as it was annotated."""
    image, info = self._fit(pixels.decode(example["encoded"]), self._size)
    truth = self._truth(example)
    boxes = geometry.to_input(truth["boxes"], info) / self._size
    return image, {
      "boxes": tf.where(truth["valid"][:, None], boxes, 0.0),
      "classes": truth["classes"],
      "valid": truth["valid"],
      "image_info": info,
      "groundtruths": truth,
    }

  def _truth(self, example: Mapping[str, tf.Tensor]) -> Tensors:
    height, width = example["height"], example["width"]
    sides = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    return {
      "source_id": tf.strings.to_number(example["source_id"], tf.int64),
      "height": height,
      "width": width,
      "boxes": self._pad(example["boxes"] * sides, 0.0),
      "classes": self._pad(example["classes"], -1),
      "is_crowd": self._pad(example["is_crowd"], False),
      "area": self._pad(example["area"], 0.0),
      "valid": self._pad(tf.ones_like(example["is_crowd"]), False),
      "present": example["present"],
    }

  def _pad(self, values: tf.Tensor, filler: float | bool) -> tf.Tensor:
    """Fills [n, ...] up to [max_boxes, ...]; more than that is an error, lest AP be wrong."""
    missing = self._max_boxes - tf.shape(values)[0]
    check = tf.debugging.assert_non_negative(missing, "more boxes in an image than max_boxes")
    with tf.control_dependencies([check]):
      margins = [[0, tf.identity(missing)]] + [[0, 0]] * (values.shape.rank - 1)
    padded = tf.pad(values, margins, constant_values=filler)
    return tf.ensure_shape(padded, [self._max_boxes, *values.shape[1:]])
