"""TFDS data sets give what the same images and annotations give as records."""

import itertools
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from official.datasets.tfds_coco import CocoFolder, build
from projects.yolo.configs.data import Augmentation, DataConfig
from projects.yolo.dataloaders.yolo_input import build_dataset

COUNT, IDS = 11, (4, 8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  """The TFDS data set `tiny`, split `train`: image n has n % 3 objects."""
  root = tmp_path_factory.mktemp("tfds")
  images, annotations = [], []
  for number in range(COUNT):
    pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(root / f"{number}.jpg")
    images.append({"id": number + 100, "file_name": f"{number}.jpg", "height": 20, "width": 30})
    for index in range(number % 3):
      annotations.append({
        "id": len(annotations) + 1, "image_id": number + 100, "category_id": IDS[index],
        "bbox": [3 + index, 5, 10, 8], "area": 80, "iscrowd": 0,
        "segmentation": [[3, 5, 13, 5, 13, 13]],
      })  # fmt: skip
  categories = [{"id": each, "name": f"c{each}"} for each in IDS]
  instances = root / "instances.json"
  instances.write_text(
    json.dumps({"images": images, "annotations": annotations, "categories": categories})
  )
  build("tiny", [CocoFolder("train", root, instances)], root / "data", stop=True)
  return root / "data"


def make(data_dir, start_step=0, **options):
  options = {"tfds_split": "train", "is_training": False, "global_batch_size": 4, **options}
  params = DataConfig(
    tfds_name="tiny", tfds_data_dir=str(data_dir), max_boxes=5, shuffle_buffer_size=4,
    augmentation=Augmentation(group_size=4), **options,
  )  # fmt: skip
  return build_dataset(params, input_size=32, category_ids=[], start_step=start_step)


def test_evaluation_reads_images_and_objects(data_dir):
  seen = set()
  for _, labels in make(data_dir).as_numpy_iterator():
    truth = labels["groundtruths"]
    for row in np.nonzero(truth["present"])[0]:
      number = int(truth["source_id"][row]) - 100
      seen.add(number)
      assert (truth["height"][row], truth["width"][row]) == (20, 30)
      count = number % 3
      assert truth["valid"][row].tolist() == [True] * count + [False] * (5 - count)
      expected = np.float32([[5, 3, 13, 13], [5, 4, 13, 14]])[:count]
      np.testing.assert_allclose(truth["boxes"][row, :count], expected, atol=1e-4)
      assert truth["classes"][row, :count].tolist() == [0, 1][:count]
      assert truth["area"][row, :count].tolist() == [80, 80][:count]
  assert seen == set(range(COUNT))


def identities(data_dir, split):
  truths = [
    labels["groundtruths"] for _, labels in make(data_dir, tfds_split=split).as_numpy_iterator()
  ]
  return [int(each) for truth in truths for each in truth["source_id"][truth["present"]]]


@pytest.mark.parametrize("parts", [("train[:3]", "train[3:8]", "train[8:]"),
                                   ("train[50%:]", "train[:50%]"),
                                   ("train[:2]+train[9:]", "train[2:9]")])  # fmt: skip
def test_parts_of_a_split_make_up_the_whole(data_dir, parts):
  numbers = [identities(data_dir, part) for part in parts]
  assert all(numbers)
  assert sorted(itertools.chain(*numbers)) == list(range(100, 100 + COUNT))


def test_training_is_taken_up_bit_for_bit(data_dir):
  whole = list(make(data_dir, is_training=True).take(6).as_numpy_iterator())[4:]
  resumed = list(make(data_dir, 4, is_training=True).take(2).as_numpy_iterator())
  tf.nest.map_structure(np.testing.assert_array_equal, whole, resumed)


def test_an_unknown_split_is_named(data_dir):
  with pytest.raises(UserError, match=r"no split 'val'.*train"):
    make(data_dir, tfds_split="val")
