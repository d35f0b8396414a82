"""Batches for MaskFormer: images and segments of fixed shape.

Images are [b, h, w, 3] uint8, RGB, not normalized yet (`normalization.normalize` does, in the
step), grey where there is none. Labels:
  segments  [b, h, w] uint8, a number for each segment, 0 for what belongs to none
  places    [b, n] int32, the number by which `segments` knows each target; 0 where not valid
  classes   [b, n] int32, contiguous, -1 where not valid
  valid     [b, n] bool
  dropped   [b] int32, how many targets there was no room for
  padding   [b, h, w] bool, True on the image
`targets.expand` makes masks of them. Crowds are no targets.

Evaluation: the same, and in labels besides
  shown         [b, 2] int32, height and width of the image within the input
  groundtruths  source_id [b] int64, height and width [b] int32, segments [b, H, W] uint8 in the
                original size, padded with 0; and of the segments 1, 2, ...: ids [b, 255] int64,
                classes [b, 255] int32 (-1 where there is none), is_crowd and valid [b, 255] bool;
                present [b] bool, False where an example only fills the batch
  views         only where `many_views` is enabled: for "0", "1", ... in the order of
                `many_views.make_views` a dictionary of image [b, ., ., 3], padding, shown
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from official.cli.errors import UserError
from official.datasets.masks import MAX_SEGMENTS
from official.training import pixels
from official.training.input_reader import ResumableInputReader
from projects.maskformer.configs.data import DataConfig
from projects.maskformer.dataloaders import color, many_views, rendering, sampling, targets, views
from projects.maskformer.dataloaders import decoder as decoders

Tensors = dict[str, Any]
Example = Mapping[str, tf.Tensor]


def build_dataset(
  params: DataConfig,
  *,
  category_ids: Sequence[int],
  input_context: tf.distribute.InputContext | None = None,
  start_step: int = 0,
) -> tf.data.Dataset:
  """Batches of `global_batch_size` over the number of replicas, as the module describes.

  Args:
    params: where the data is, and how it is augmented.
    category_ids: the data set's category ids in the order of classes. Without effect on TFDS.
    input_context: which of how many input pipelines this is.
    start_step: how many steps of training are done; the data goes on from there.

  Raises:
    UserError: options contradict each other, or there is no such data.
  """
  check(params)
  if params.tfds_name:
    decoder = decoders.TfdsDecoder()
    params = params.replace(tfds_skip_decoding_feature="image")
  else:
    decoder = decoders.RecordDecoder(category_ids)
  parser = Parser(params)
  reader = ResumableInputReader(
    params,
    decoder_fn=decoder.decode,
    # Loops are written as TensorFlow's: AutoGraph would only slow down the tracing.
    parser_fn=tf.autograph.experimental.do_not_convert(
      parser.parse_training if params.is_training else parser.parse_evaluation
    ),
    padding=decoders.PADDING,
    start_step=start_step,
  )
  return reader.read(input_context)


class Parser:
  """Makes decoded examples (`projects.maskformer.dataloaders.decoder`) into images and labels.

  Args:
    params: of the data.
  """

  def __init__(self, params: DataConfig) -> None:
    self._params = params
    self._room = tuple(params.output_size)

  def parse_training(self, example: Example) -> tuple[tf.Tensor, Tensors]:
    """A random view of an image; its randomness is that of the example's "seed", [2] int64."""
    draws = tf.random.stateless_uniform([sampling.DRAWS + color.DRAWS], example["seed"])
    view, mirrored = sampling.sample(
      self._params, example["places"], example["classes"], draws[: sampling.DRAWS]
    )
    shape = tf.shape(example["places"])
    picture, view = rendering.image(example["encoded"], view, shape)
    if self._params.augmentation.color:
      picture = color.distort(picture, draws[sampling.DRAWS :])
    else:
      picture = tf.cast(picture + 0.5, tf.uint8)
    picture = tf.cond(mirrored, lambda: tf.reverse(picture, [1]), lambda: picture)
    seen = rendering.segments(example["places"], view, mirrored)
    return self._pad(picture), self._labels(example, seen, self._params.keep_absent)

  def parse_evaluation(self, example: Example) -> tuple[tf.Tensor, Tensors]:
    """A whole image, and labels with the ground truth as it was annotated."""
    shape = tf.shape(example["places"])
    shown = views.resized_shape(shape, self._params.min_sizes[0], self._params.max_size)
    view = views.whole(shape, shown, self._room)
    picture = many_views.resize(pixels.decode(example["encoded"]), view.output)
    seen = rendering.segments(example["places"], view)
    labels = self._labels(example, seen, keep_absent=False)
    labels |= {"shown": view.output, "groundtruths": self._truth(example)}
    if self._params.many_views.enabled:
      made = many_views.make_views(picture, self._params)
      labels["views"] = {str(place): each._asdict() for place, each in enumerate(made)}
    return self._pad(picture), labels

  def _pad(self, picture: tf.Tensor) -> tf.Tensor:
    return rendering.pad(tf.ensure_shape(picture, [None, None, 3]), self._room, rendering.GREY)

  def _labels(self, example: Example, seen: tf.Tensor, keep_absent: bool) -> Tensors:
    chosen = targets.choose(
      seen, example["classes"], example["is_crowd"], self._params.max_segments, keep_absent
    )
    return {
      "segments": rendering.pad(seen, self._room, 0),
      "places": chosen.places,
      "classes": chosen.classes,
      "valid": chosen.valid,
      "dropped": chosen.dropped,
      "padding": rendering.pad(tf.ones(tf.shape(seen), tf.bool), self._room, 0),
    }

  def _truth(self, example: Example) -> Tensors:
    room = tuple(self._params.groundtruth_size)
    fits = tf.reduce_all(tf.shape(example["places"]) <= room)
    message = ["groundtruth_size is too small for image", example["source_id"]]
    with tf.control_dependencies([tf.debugging.Assert(fits, message)]):
      places = tf.identity(example["places"])
    return {
      "source_id": tf.strings.to_number(example["source_id"], tf.int64),
      "height": example["height"],
      "width": example["width"],
      "segments": rendering.pad(places, room, 0),
      "ids": _pad_rows(example["ids"], 0),
      "classes": _pad_rows(example["classes"], -1),
      "is_crowd": _pad_rows(example["is_crowd"], False),
      "valid": _pad_rows(tf.ones_like(example["is_crowd"]), False),
      "present": example["present"],
    }


def _pad_rows(values: tf.Tensor, filler: int | bool) -> tf.Tensor:
  missing = MAX_SEGMENTS - tf.shape(values)[0]
  padded = tf.pad(values, [[0, missing]], constant_values=tf.cast(filler, values.dtype))
  return tf.ensure_shape(padded, [MAX_SEGMENTS])


def check(params: DataConfig) -> None:
  """Raises `UserError` where options cannot be."""
  for name in ("output_size", "groundtruth_size"):
    size = getattr(params, name)
    if len(size) != 2 or min(size) < 1:
      raise UserError(f"{name} is {size}; it must be a height and a width in pixels")
  if not params.min_sizes or min(params.min_sizes) < 1 or params.max_size < 1:
    raise UserError("min_sizes and max_size must name sides of at least 1 pixel")
  if not 1 <= params.max_segments <= MAX_SEGMENTS:
    raise UserError(f"max_segments is {params.max_segments}; it must lie in 1..{MAX_SEGMENTS}")
  _check_augmentation(params)


def _check_augmentation(params: DataConfig) -> None:
  augmentation = params.augmentation
  crop, zoom = augmentation.crop, augmentation.zoom
  if crop and (len(crop) != 2 or min(crop) < 1):
    raise UserError(f"augmentation.crop is {crop}; it must be empty, or a height and a width")
  if crop and any(side > room for side, room in zip(crop, params.output_size, strict=True)):
    raise UserError(f"augmentation.crop {crop} does not fit into output_size {params.output_size}")
  if crop and zoom.probability > 0:
    raise UserError("augmentation.crop and augmentation.zoom exclude each other")
  if not 1 <= zoom.low <= zoom.high or not zoom.min_sizes or min(zoom.min_sizes) < 1:
    raise UserError("augmentation.zoom: low, high and min_sizes must be sides, low at most high")
  for name, value in [
    ("flip", augmentation.flip),
    ("zoom.probability", zoom.probability),
    ("max_category_area", augmentation.max_category_area),
  ]:
    if not 0 <= value <= 1:
      raise UserError(f"augmentation.{name} is {value}; it must lie between 0 and 1")
