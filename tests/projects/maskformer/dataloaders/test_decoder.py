"""Decoded examples against what was written, and against the annotation files."""

import json

import numpy as np
import pytest
import tensorflow as tf

from official.datasets.tfds_coco import CocoFolder, build
from projects.maskformer.dataloaders import decoder as decoders
from tests.projects.maskformer.dataloaders import records

PLACES = np.array([[0, 1, 1, 3], [2, 2, 3, 3]], np.uint8)
IMAGE = np.random.default_rng(0).integers(0, 256, (2, 4, 3), np.uint8)


def record(labels=(90, 1, 7), **options):
  options = {"crowds": [False, True, False], "ids": [2**23, 5, 6], **options}
  return records.example(42, IMAGE, PLACES, list(labels), **options)


def decode(decoder, value, where):
  if where == "eager":
    return tf.nest.map_structure(lambda each: each.numpy(), decoder.decode(value))
  inputs = tf.data.Dataset.from_tensors(value).map(decoder.decode)
  return next(inputs.as_numpy_iterator())


@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_records(where):
  example = decode(decoders.RecordDecoder([7, 1, 90]), record(), where)
  assert example["source_id"] == b"42"
  assert (example["height"], example["width"]) == (2, 4)
  np.testing.assert_array_equal(example["places"], PLACES)
  assert example["classes"].tolist() == [2, 1, 0]
  assert example["ids"].tolist() == [2**23, 5, 6]
  assert example["is_crowd"].tolist() == [False, True, False]
  np.testing.assert_array_equal(tf.io.decode_png(example["encoded"]), IMAGE)


def test_an_image_without_segments():
  serialized = records.example(1, IMAGE, np.zeros((2, 4)), [])
  example = decode(decoders.RecordDecoder([1]), serialized, "dataset")
  assert not example["places"].any()
  assert all(example[key].shape == (0,) for key in ("ids", "classes", "is_crowd"))


@pytest.mark.parametrize("label", [0, 2, 4, -1, 2**40])
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_a_category_out_of_the_table_is_named(label, where):
  with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){label}.*42"):
    decode(decoders.RecordDecoder([1, 3]), record([1, label, 3]), where)


def test_records_and_padding_agree_on_types():
  example = decoders.RecordDecoder([7, 1, 90]).decode(record())
  types = {key: (value.dtype, value.shape.rank) for key, value in example.items()}
  padding = {key: tf.constant(value) for key, value in decoders.PADDING.items()}
  assert {key: (value.dtype, value.shape.rank) for key, value in padding.items()} == types
  assert tf.io.decode_png(decoders.PADDING["encoded"], channels=3).shape == (1, 1, 3)


@pytest.fixture(scope="module")
def tfds_example(shared, tmp_path_factory):
  """The two real images as a TFDS data set with the features of coco/2017_panoptic."""
  import tensorflow_datasets as tfds

  root, sample = tmp_path_factory.mktemp("tfds"), shared / "data" / "coco_sample"
  instances = json.loads((sample / "panoptic_examples.json").read_text())
  instances["categories"] = json.loads((sample / "panoptic_coco_categories.json").read_text())
  instances["categories"] = [row for row in instances["categories"] if row["isthing"]]
  instances["annotations"] = []
  (root / "instances.json").write_text(json.dumps(instances))
  folder = CocoFolder(
    "train", sample / "input_images", root / "instances.json", sample / "panoptic_examples.json",
    sample / "panoptic_examples",
  )  # fmt: skip
  build("real", [folder], root, stop=True)
  decoders_of = {"image": tfds.decode.SkipDecoding()}
  return list(tfds.load("real", split="train", data_dir=str(root), decoders=decoders_of))


@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_tfds_features_of_real_images(tfds_example, shared, where):
  """Every segment has the annotated pixels, category and crowd flag."""
  sample = shared / "data" / "coco_sample"
  content = json.loads((sample / "panoptic_examples.json").read_text())
  table = json.loads((sample / "panoptic_coco_categories.json").read_text())
  numbers = {row["id"]: number for number, row in enumerate(table)}  # Things come first there.
  truth = {str(row["image_id"]).encode(): row["segments_info"] for row in content["annotations"]}
  assert len(tfds_example) == 2
  for features in tfds_example:
    example = decode(decoders.TfdsDecoder(), features, where)
    rows = truth[example["source_id"]]
    assert example["ids"].tolist() == [row["id"] for row in rows]
    assert example["classes"].tolist() == [numbers[row["category_id"]] for row in rows]
    assert example["is_crowd"].tolist() == [bool(row["iscrowd"]) for row in rows]
    counts = np.bincount(example["places"].ravel(), minlength=len(rows) + 1)
    assert counts[1:].tolist() == [row["area"] for row in rows]
    assert example["places"].shape == (example["height"], example["width"])


def test_tfds_colours_that_are_not_annotated_are_void():
  colours = np.array([[[1, 0, 0], [0, 1, 0], [9, 9, 9], [0, 0, 0], [255, 255, 255]]], np.uint8)
  places = decoders._places(tf.constant(colours), tf.constant([256, 1], tf.int64))
  assert places.numpy().tolist() == [[2, 1, 0, 0, 0]]
  nothing = decoders._places(tf.constant(colours), tf.zeros([0], tf.int64))
  assert not nothing.numpy().any()
  with pytest.raises(tf.errors.InvalidArgumentError, match="too many segments"):
    decoders._places(tf.constant(colours), tf.range(256, dtype=tf.int64))
