"""Records as `prepare_data` writes them, made by hand; images that show where their pixels are."""

import numpy as np
import tensorflow as tf

from official.datasets.examples import segment_features
from official.datasets.tfrecord import encode_example


def example(number, image, places, labels, crowds=None, form="png", ids=None):
  """A serialized `tf.train.Example`; pixels and segments [h, w]."""
  encode = {"png": tf.io.encode_png, "jpeg": lambda x: tf.io.encode_jpeg(x, quality=100)}[form]
  height, width = places.shape
  crowds = crowds if crowds is not None else [False] * len(labels)
  ids = ids if ids is not None else range(1, len(labels) + 1)
  features = {
    "image/encoded": [encode(image).numpy()],
    "image/source_id": [str(number).encode()],
    "image/height": np.array([height]),
    "image/width": np.array([width]),
  }
  return encode_example(features | segment_features(np.uint8(places), ids, labels, crowds))


def write(path, examples):
  with tf.io.TFRecordWriter(str(path)) as writer:
    for each in examples:
      writer.write(each)


def ramps(height, width):
  """An image whose red grows with y and whose green with x, from edge to edge; blue is 128."""
  y, x = np.mgrid[:height, :width]
  planes = [255 * (y + 0.5) / height, 255 * (x + 0.5) / width, np.full((height, width), 128)]
  return np.stack(planes, -1).round().astype(np.uint8)


def cells(height, width, rows=5, columns=6):
  """Segments in a chessboard of cells, numbered from 1."""
  y, x = np.mgrid[:height, :width]
  return (y * rows // height * columns + x * columns // width + 1).astype(np.uint8)


def textured(height, width, places):
  """An image of which every segment has its own colour."""
  colours = np.random.default_rng(1).integers(0, 256, (256, 3))
  return colours[places].astype(np.uint8)
