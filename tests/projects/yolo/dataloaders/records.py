"""Records as `prepare_data` writes them, made by hand."""

import numpy as np
import tensorflow as tf

SIDES = ("ymin", "xmin", "ymax", "xmax")


def example(number, image=None, boxes=(), labels=None, crowds=None, shape=(24, 32), form="jpeg"):
  """A serialized `tf.train.Example`; the image is noise drawn from the number by default."""
  if image is None:
    image = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
  encode = tf.io.encode_jpeg if form == "jpeg" else tf.io.encode_png
  height, width = image.shape[:2]
  boxes = np.float32(boxes).reshape(-1, 4)
  area = (boxes[:, 2] - boxes[:, 0]) * height * (boxes[:, 3] - boxes[:, 1]) * width
  features = {
    "image/encoded": texts([encode(image).numpy()]),
    "image/format": texts([form.encode()]),
    "image/source_id": texts([str(number).encode()]),
    "image/height": integers([height]),
    "image/width": integers([width]),
    "image/object/class/label": integers(labels if labels is not None else [1] * len(boxes)),
    "image/object/is_crowd": integers(crowds if crowds is not None else [0] * len(boxes)),
    "image/object/area": floats(area),
    **{f"image/object/bbox/{side}": floats(boxes[:, i]) for i, side in enumerate(SIDES)},
  }
  return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path, examples):
  with tf.io.TFRecordWriter(str(path)) as writer:
    for each in examples:
      writer.write(each)


def texts(values):
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def integers(values):
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats(values):
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))
