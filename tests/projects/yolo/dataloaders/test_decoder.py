"""Decoded examples against what was written."""

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.dataloaders import decoder as decoders
from tests.projects.yolo.dataloaders import records

BOXES = [(0.1, 0.2, 0.5, 0.4), (0, 0, 1, 1), (0.25, 0.5, 0.75, 1)]


def decode(decoder, value, where):
  if where == "eager":
    return tf.nest.map_structure(lambda each: each.numpy(), decoder.decode(value))
  inputs = tf.data.Dataset.from_tensors(value).map(decoder.decode)
  return next(inputs.as_numpy_iterator())


@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_records(where):
  record = records.example(42, boxes=BOXES, labels=[90, 1, 7], crowds=[0, 1, 0], shape=(24, 40))
  example = decode(decoders.RecordDecoder([7, 1, 90]), record, where)
  assert example["source_id"] == b"42"
  assert (example["height"], example["width"]) == (24, 40)
  np.testing.assert_array_equal(example["boxes"], np.float32(BOXES))
  assert example["classes"].tolist() == [2, 1, 0]
  assert example["is_crowd"].tolist() == [False, True, False]
  np.testing.assert_allclose(example["area"], [0.4 * 24 * 0.2 * 40, 960, 240], rtol=1e-5)
  assert tf.io.decode_jpeg(example["encoded"]).shape == (24, 40, 3)


def test_an_image_without_objects():
  example = decode(decoders.RecordDecoder([1]), records.example(0), "dataset")
  assert example["boxes"].shape == (0, 4)
  assert example["classes"].shape == example["is_crowd"].shape == example["area"].shape == (0,)


def test_labels_are_contiguous_where_there_is_no_table():
  record = records.example(0, boxes=BOXES, labels=[0, 5, 3])
  assert decode(decoders.RecordDecoder([]), record, "eager")["classes"].tolist() == [0, 5, 3]


@pytest.mark.parametrize("label", [0, 2, 4, -1, 2**40])
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_a_category_out_of_the_table_is_named(label, where):
  record = records.example(123, boxes=BOXES, labels=[1, label, 3])
  with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){label}.*123"):
    decode(decoders.RecordDecoder([1, 3]), record, where)


@pytest.mark.parametrize("form", ["jpeg", "png"])
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_tfds_features(form, where):
  encode = tf.io.encode_jpeg if form == "jpeg" else tf.io.encode_png
  encoded = encode(np.zeros((20, 30, 3), np.uint8))
  features = {
    "image": encoded,
    "image/filename": tf.constant("a.jpg"),
    "image/id": tf.constant(2**40, tf.int64),
    "objects": {
      "area": tf.constant([5, 9, 2], tf.int64),
      "bbox": tf.constant(BOXES, tf.float32),
      "id": tf.constant([1, 2, 3], tf.int64),
      "is_crowd": tf.constant([False, True, False]),
      "label": tf.constant([3, 0, 79], tf.int64),
    },
  }
  example = decode(decoders.TfdsDecoder(), features, where)
  assert example["encoded"] == encoded.numpy()
  assert example["source_id"] == str(2**40).encode()
  assert (example["height"], example["width"]) == (20, 30)
  np.testing.assert_array_equal(example["boxes"], np.float32(BOXES))
  assert example["classes"].tolist() == [3, 0, 79]
  assert example["is_crowd"].tolist() == [False, True, False]
  assert example["area"].tolist() == [5, 9, 2]


def test_both_decoders_and_the_padding_agree_on_types():
  record = decoders.RecordDecoder([1]).decode(records.example(0, boxes=BOXES))
  assert {key: tf.constant(value).dtype for key, value in decoders.PADDING.items()} == {
    key: value.dtype for key, value in record.items()
  }
