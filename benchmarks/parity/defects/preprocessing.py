"""Photographs resized, scaled and ordered otherwise."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.parity.blocks.losses import resize_bilinear
from benchmarks.parity.blocks.preprocess import DEVIATION, MEAN, resize_smooth
from benchmarks.parity.cases.all import BLOCKS
from benchmarks.parity.defects.planting import Plant, at
from official.parity.case import Arrays, ParityCase

_PLACES = (("maskformer", "preprocess"), ("resnet", "preprocess"))
_FULL = 255.0
Resize = Callable[[tf.Tensor, int, int], tf.Tensor]


def _sharp(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """`tf.image.resize` as it is called by default: no antialiasing."""
  return _by_channel(resize_bilinear, image, height, width)


def _corners(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """Between the centres of the corner pixels, as `align_corners=True`."""

  def resize(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
    rows, columns = (
      _triangle(tf.range(target, dtype=x.dtype) * (source - 1) / (target - 1), source, target)
      for source, target in ((x.shape[1], height), (x.shape[2], width))
    )
    return tf.einsum("yh,nhw,xw->nyx", rows, x, columns)

  return _by_channel(resize, image, height, width)


def _from_edges(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """Pixel i at i · ratio, as TensorFlow 1 did it; smooth all the same."""

  def resize(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
    rows, columns = (
      _triangle(tf.range(target, dtype=x.dtype) * source / target, source, target)
      for source, target in ((x.shape[1], height), (x.shape[2], width))
    )
    return tf.einsum("yh,nhw,xw->nyx", rows, x, columns)

  return _by_channel(resize, image, height, width)


def _nearest(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
  rows = tf.range(height) * image.shape[0] // height
  columns = tf.range(width) * image.shape[1] // width
  return tf.gather(tf.gather(image, rows), columns, axis=1)


def _triangle(place: tf.Tensor, source: int, target: int) -> tf.Tensor:
  distance = tf.abs(tf.range(source, dtype=place.dtype)[None] - place[:, None])
  weights = tf.maximum(1 - distance / max(source / target, 1.0), 0)
  return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def _by_channel(resize: Resize, image: tf.Tensor, height: int, width: int) -> tf.Tensor:
  return tf.transpose(resize(tf.transpose(image, [2, 0, 1]), height, width), [1, 2, 0])


def _preprocessed(
  resize: Resize = resize_smooth,
  mean: tuple[float, ...] = MEAN,
  deviation: tuple[float, ...] = DEVIATION,
  scale: float = _FULL,
  reverse: bool = False,
  dtype: tf.DType = tf.float64,
) -> Callable[[str], Plant]:
  """Other preprocessing."""

  def preprocess(image: np.ndarray, size: tuple[int, int]) -> Arrays:
    pixels = tf.cast(image[..., ::-1] if reverse else image, dtype)
    x = resize(pixels, *size) / scale
    x = (x - tf.constant(mean, dtype)) / tf.constant(deviation, dtype)
    return {"image": tf.cast(x[None], tf.float64).numpy()}

  def plant(case: ParityCase) -> ParityCase:
    size = BLOCKS[case.name.removeprefix("blocks/")].size
    change = lambda side: dataclasses.replace(  # noqa: E731
      side, preprocess=lambda image: preprocess(image, size)
    )
    return dataclasses.replace(case, candidate=lambda precision: change(case.candidate(precision)))

  return lambda name: plant


def _image(name: str, cause: str, plant: Callable[[str], Plant]) -> tuple:
  return at(name, cause, plant, *_PLACES, stage="preprocess")


DEFECTS = (
  *_image("images in BGR", "channels_reversed", _preprocessed(reverse=True)),
  *_image(
    "mean and deviation of a half",
    "input_scaling",
    _preprocessed(mean=(0.5,) * 3, deviation=(0.5,) * 3),
  ),
  *_image("images from 0 to 255", "input_scaling", _preprocessed(scale=1.0)),
  *_image("deviation forgotten", "input_scaling", _preprocessed(deviation=(1.0,) * 3)),
  *_image("resized without antialiasing", "resize_antialias", _preprocessed(resize=_sharp)),
  *_image("resized from corner to corner", "resize_coordinates", _preprocessed(resize=_corners)),
  *_image("resized from the edge", "resize_coordinates", _preprocessed(resize=_from_edges)),
  *_image("resized to the nearest pixel", "resize_method", _preprocessed(resize=_nearest)),
  *_image("images in float32", "precision_lost", _preprocessed(dtype=tf.float32)),
)
