"""Serialized examples to dictionaries of tensors; the pixels stay encoded.

A decoded example is one image with its segments:
  encoded    () string, JPEG or PNG bytes
  source_id  () string
  height     () int32, pixels
  width      () int32, pixels
  places     [h, w] uint8, each pixel's segment by its place in the lists below, from 1; 0 is void
  ids        [n] int64, the data set's ids of the segments
  classes    [n] int32, contiguous, from 0
  is_crowd   [n] bool
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from official.datasets.masks import MAX_SEGMENTS, encode_png

_KEYS = {
  "image/encoded": tf.io.FixedLenFeature((), tf.string),
  "image/source_id": tf.io.FixedLenFeature((), tf.string),
  "image/height": tf.io.FixedLenFeature((), tf.int64),
  "image/width": tf.io.FixedLenFeature((), tf.int64),
  "image/segments/mask": tf.io.FixedLenFeature((), tf.string),
  "image/segments/id": tf.io.RaggedFeature(tf.int64),
  "image/segments/label": tf.io.RaggedFeature(tf.int64),
  "image/segments/is_crowd": tf.io.RaggedFeature(tf.int64),
}

# What fills up the last batch of an evaluation: a black pixel of void.
PADDING = {
  "encoded": encode_png(np.zeros((1, 1), np.uint8)),
  "source_id": b"-1",
  "height": np.int32(1),
  "width": np.int32(1),
  "places": np.zeros((1, 1), np.uint8),
  "ids": np.zeros(0, np.int64),
  "classes": np.zeros(0, np.int32),
  "is_crowd": np.zeros(0, bool),
}


class RecordDecoder:
  """Decodes the `tf.train.Example`s of `tools/prepare_data.py`.

  Args:
    category_ids: the data set's category ids in the order of their contiguous classes.
  """

  def __init__(self, category_ids: Sequence[int]) -> None:
    self._classes = np.full(max(category_ids) + 1, -1, np.int32)
    self._classes[list(category_ids)] = np.arange(len(category_ids))

  def decode(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """A decoded example (see the module) from () string.

    Raises:
      tf.errors.InvalidArgumentError: a category is not in the table, naming image and category; or
        the record has no segments.
    """
    record = tf.io.parse_single_example(serialized, _KEYS)
    places = tf.io.decode_png(record["image/segments/mask"], channels=1)[..., 0]
    return {
      "encoded": record["image/encoded"],
      "source_id": record["image/source_id"],
      "height": tf.cast(record["image/height"], tf.int32),
      "width": tf.cast(record["image/width"], tf.int32),
      "places": places,
      "ids": record["image/segments/id"],
      "classes": self._contiguous(record["image/segments/label"], record["image/source_id"]),
      "is_crowd": record["image/segments/is_crowd"] > 0,
    }

  def _contiguous(self, labels: tf.Tensor, source_id: tf.Tensor) -> tf.Tensor:
    inside = (labels >= 0) & (labels < self._classes.size)
    classes = tf.gather(self._classes, tf.where(inside, labels, 0))
    known = inside & (classes >= 0)
    unknown = tf.boolean_mask(labels, ~known)
    message = ["category id not among the data set's categories: id", unknown, "image", source_id]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(known), message)]):
      return tf.identity(classes)


class TfdsDecoder:
  """Decodes features of TFDS's panoptic data sets (the specification of coco/2017_panoptic).

  "image" must have been left encoded: `tfds_skip_decoding_feature` has to name it.
  """

  def decode(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """A decoded example (see the module) from a dictionary of features.

    Raises:
      tf.errors.InvalidArgumentError: there are more segments than eight bits can name.
    """
    objects, colours = features["panoptic_objects"], features["panoptic_image"]
    ids = tf.cast(objects["id"], tf.int64)
    places = _places(colours, ids)
    shape = tf.shape(places)
    return {
      "encoded": features["image"],
      "source_id": tf.strings.as_string(features["image/id"]),
      "height": shape[0],
      "width": shape[1],
      "places": places,
      "ids": ids,
      "classes": tf.cast(objects["label"], tf.int32),
      "is_crowd": objects["is_crowd"],
    }


def _places(colours: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
  """Segment colours [h, w, 3] uint8 to places among `ids` [n], from 1; other colours are void."""
  values = tf.cast(colours, tf.int64)
  values = values[..., 0] + values[..., 1] * 2**8 + values[..., 2] * 2**16
  check = tf.debugging.assert_less_equal(tf.size(ids), MAX_SEGMENTS, "too many segments")
  with tf.control_dependencies([check]):
    order = tf.argsort(ids)
  ranked = tf.concat([tf.gather(ids, order), [tf.int64.max]], 0)
  found = tf.searchsorted(ranked, tf.reshape(values, [-1]))
  places = tf.gather(tf.concat([order + 1, [0]], 0), found)
  places = tf.where(tf.gather(ranked, found) == tf.reshape(values, [-1]), places, 0)
  return tf.reshape(tf.cast(places, tf.uint8), tf.shape(values))
