"""Serialized examples to dictionaries of tensors; the pixels stay encoded.

A decoded example is one image:
  encoded    () string, JPEG or PNG bytes
  source_id  () string
  height     () int32, pixels
  width      () int32, pixels
  boxes      [n, 4] float32, normalized (ymin, xmin, ymax, xmax)
  classes    [n] int32, contiguous, from 0
  is_crowd   [n] bool
  area       [n] float32, of the object in the original image, in square pixels
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

_KEYS = {
  "image/encoded": tf.io.FixedLenFeature((), tf.string),
  "image/source_id": tf.io.FixedLenFeature((), tf.string),
  "image/height": tf.io.FixedLenFeature((), tf.int64),
  "image/width": tf.io.FixedLenFeature((), tf.int64),
  "image/object/bbox/ymin": tf.io.RaggedFeature(tf.float32),
  "image/object/bbox/xmin": tf.io.RaggedFeature(tf.float32),
  "image/object/bbox/ymax": tf.io.RaggedFeature(tf.float32),
  "image/object/bbox/xmax": tf.io.RaggedFeature(tf.float32),
  "image/object/class/label": tf.io.RaggedFeature(tf.int64),
  "image/object/is_crowd": tf.io.RaggedFeature(tf.int64),
  "image/object/area": tf.io.RaggedFeature(tf.float32),
}


def _grey_pixel() -> bytes:
  # Not by TensorFlow: an operation at import would bar several workers from their collectives.
  target = io.BytesIO()
  Image.new("RGB", (1, 1), (114, 114, 114)).save(target, "PNG")
  return target.getvalue()


# What fills up the last batch of an evaluation: a grey pixel without objects.
PADDING = {
  "encoded": _grey_pixel(),
  "source_id": b"-1",
  "height": np.int32(1),
  "width": np.int32(1),
  "boxes": np.zeros((0, 4), np.float32),
  "classes": np.zeros(0, np.int32),
  "is_crowd": np.zeros(0, bool),
  "area": np.zeros(0, np.float32),
}


class RecordDecoder:
  """Decodes the `tf.train.Example`s of `tools/prepare_data.py` (TFMG's feature keys).

  Args:
    category_ids: the data set's category ids in the order of their contiguous classes; empty where
      labels are contiguous already.
  """

  def __init__(self, category_ids: Sequence[int]) -> None:
    self._classes = np.full(max(category_ids, default=-1) + 1, -1, np.int32)
    self._classes[list(category_ids)] = np.arange(len(category_ids))

  def decode(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """A decoded example (see the module) from () string.

    Raises:
      tf.errors.InvalidArgumentError: a category is not in the table; names image and category.
    """
    record = tf.io.parse_single_example(serialized, _KEYS)
    corners = [record[f"image/object/bbox/{side}"] for side in ("ymin", "xmin", "ymax", "xmax")]
    return {
      "encoded": record["image/encoded"],
      "source_id": record["image/source_id"],
      "height": tf.cast(record["image/height"], tf.int32),
      "width": tf.cast(record["image/width"], tf.int32),
      "boxes": tf.stack(corners, axis=-1),
      "classes": self._contiguous(record["image/object/class/label"], record["image/source_id"]),
      "is_crowd": record["image/object/is_crowd"] > 0,
      "area": record["image/object/area"],
    }

  def _contiguous(self, labels: tf.Tensor, source_id: tf.Tensor) -> tf.Tensor:
    if not self._classes.size:
      return tf.cast(labels, tf.int32)
    inside = (labels >= 0) & (labels < self._classes.size)
    classes = tf.gather(self._classes, tf.where(inside, labels, 0))
    known = inside & (classes >= 0)
    unknown = tf.boolean_mask(labels, ~known)
    message = ["category id not among the data set's categories: id", unknown, "image", source_id]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(known), message)]):
      return tf.identity(classes)


class TfdsDecoder:
  """Decodes features of TFDS's object detection data sets (the specification of coco/2017).

  "image" must have been left encoded: `tfds_skip_decoding_feature` has to name it.
  """

  def decode(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """A decoded example (see the module) from a dictionary of features."""
    objects, shape = features["objects"], _shape(features["image"])
    return {
      "encoded": features["image"],
      "source_id": tf.strings.as_string(features["image/id"]),
      "height": shape[0],
      "width": shape[1],
      "boxes": objects["bbox"],
      "classes": tf.cast(objects["label"], tf.int32),
      "is_crowd": objects["is_crowd"],
      "area": tf.cast(objects["area"], tf.float32),
    }


def _shape(encoded: tf.Tensor) -> tf.Tensor:
  """(height, width, channels) of an image, [3] int32; of a JPEG without decoding it."""
  return tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: tf.io.extract_jpeg_shape(encoded),
    lambda: tf.shape(tf.io.decode_image(encoded, expand_animations=False)),
  )
