"""Whole pipelines: what training and evaluation receive, and how training is taken up again."""

import dataclasses

import cv2
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from projects.yolo.configs.data import Augmentation, DataConfig
from projects.yolo.dataloaders.yolo_input import build_dataset
from tests.projects.yolo.dataloaders import records

SIZE, SHARDS, IDS = 32, (5, 2, 6, 4), (3, 9)
TOTAL = sum(SHARDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """17 images of several shapes with 0 to 4 objects, some of them crowds."""
  path = tmp_path_factory.mktemp("data")
  numbers = iter(range(TOTAL))
  for index, count in enumerate(SHARDS):
    shard = path / f"train-{index:05d}-of-{len(SHARDS):05d}.tfrecord"
    records.write(shard, [make(next(numbers)) for _ in range(count)])
  return path


def make(number):
  rng = np.random.default_rng(number)
  count = number % 5
  boxes = np.sort(rng.random((count, 2, 2)), 1).reshape(-1, 4)
  return records.example(
    number, boxes=boxes, labels=rng.choice(IDS, count), crowds=[int(i == 2) for i in range(count)],
    shape=[(24, 32), (40, 20), (33, 33)][number % 3], form=["jpeg", "png"][number % 2],
  )  # fmt: skip


def config(folder, **changes):
  base = DataConfig(
    input_path=f"{folder}/train-*.tfrecord", is_training=True, global_batch_size=4, max_boxes=10,
    shuffle_buffer_size=6, augmentation=Augmentation(group_size=5, mixup=0.3),
  )  # fmt: skip
  return dataclasses.replace(base, **changes)


def build(params, start_step=0, context=None):
  return build_dataset(
    params, input_size=SIZE, category_ids=IDS, input_context=context, start_step=start_step
  )


def take(dataset, count=-1):
  return list(dataset.take(count).as_numpy_iterator())


def test_training_batches(folder):
  images, labels = build(config(folder)).element_spec
  assert (images.shape, images.dtype) == ((4, SIZE, SIZE, 3), tf.uint8)
  assert {key: (spec.shape, spec.dtype) for key, spec in labels.items()} == {
    "boxes": ((4, 10, 4), tf.float32),
    "classes": ((4, 10), tf.int32),
    "valid": ((4, 10), tf.bool),
  }
  for _, labels in take(build(config(folder)), 10):
    valid = labels["valid"]
    assert set(labels["classes"][valid]) <= {0, 1}
    assert (labels["classes"][~valid] == -1).all()
    boxes = labels["boxes"]
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[valid][:, 2:] - boxes[valid][:, :2] > 2 / SIZE).all()
    assert not boxes[~valid].any()


@pytest.mark.parametrize(("step", "pipelines"), [(1, 1), (10, 1), (6, 2)])
def test_a_run_taken_up_goes_on_bit_for_bit(folder, step, pipelines):
  """Groups of 5, batches of 4, epochs of 17: nothing divides anything."""
  for index in range(pipelines):
    context = tf.distribute.InputContext(pipelines, index, pipelines)
    params = config(folder, global_batch_size=4 * pipelines)
    whole = take(build(params, context=context), step + 5)[step:]
    resumed = take(build(params, step, context), 5)
    tf.nest.map_structure(np.testing.assert_array_equal, whole, resumed)


def test_the_seed_decides(folder):
  one, same, other = (take(build(config(folder, seed=seed)), 4) for seed in (1, 1, 2))
  tf.nest.map_structure(np.testing.assert_array_equal, one, same)
  assert not any(np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))


def test_crowds_are_not_trained_on(tmp_path):
  still = Augmentation(group_size=1, mosaic=0, scale=0, translate=0, flip=0)
  boxes = [(0.1, 0.1, 0.9, 0.9), (0, 0, 1, 0.5), (0, 0.5, 0.5, 1)]
  record = records.example(1, boxes=boxes, labels=[3, 9, 9], crowds=[0, 1, 0], shape=(32, 32))
  records.write(tmp_path / "a.tfrecord", [record])
  params = config(
    tmp_path, input_path=f"{tmp_path}/a.tfrecord", augmentation=still, global_batch_size=1
  )
  _, labels = take(build(params), 1)[0]
  assert labels["classes"][0, :3].tolist() == [0, 1, -1]
  np.testing.assert_allclose(labels["boxes"][0, :2], [boxes[0], boxes[2]], atol=1e-6)


@pytest.mark.parametrize("letterbox", [True, False])
def test_evaluation_has_the_truth_in_original_pixels(folder, letterbox):
  batches = take(build(config(folder, is_training=False, letterbox=letterbox)))
  assert len(batches) == 5
  seen = []
  for images, labels in batches:
    truth = labels["groundtruths"]
    assert images.shape == (4, SIZE, SIZE, 3)
    for row in range(4):
      each = {key: value[row] for key, value in truth.items()}
      if not each["present"]:
        assert not each["valid"].any()
        assert not labels["valid"][row].any()
        continue
      seen.append(int(each["source_id"]))
      check_truth(
        each, {key: labels[key][row] for key in ("boxes", "classes", "valid", "image_info")}
      )
  assert sorted(seen) == list(range(TOTAL))


def check_truth(truth, labels):
  record = tf.train.Example.FromString(make(int(truth["source_id"]))).features.feature
  value = lambda key: np.array(
    getattr(record[key], record[key].WhichOneof("kind") or "int64_list").value
  )
  assert [truth["height"], truth["width"]] == [value("image/height")[0], value("image/width")[0]]
  count = len(value("image/object/class/label"))
  assert (
    truth["valid"].tolist() == labels["valid"].tolist() == [True] * count + [False] * (10 - count)
  )
  sides = np.array([truth["height"], truth["width"]] * 2, np.float32)
  boxes = np.array([value(f"image/object/bbox/{side}") for side in records.SIDES]).T.reshape(-1, 4)
  np.testing.assert_allclose(truth["boxes"][:count], boxes * sides, rtol=1e-6)
  assert truth["classes"][:count].tolist() == [
    IDS.index(x) for x in value("image/object/class/label")
  ]
  assert (truth["classes"][count:] == -1).all()
  np.testing.assert_array_equal(truth["is_crowd"][:count], value("image/object/is_crowd"))
  np.testing.assert_allclose(truth["area"][:count], value("image/object/area"))
  scale, offset = np.tile(labels["image_info"][:2], 2), np.tile(labels["image_info"][2:], 2)
  np.testing.assert_allclose(
    labels["boxes"][:count] * SIZE, truth["boxes"][:count] * scale + offset, atol=1e-4
  )


def test_evaluation_of_a_photograph_is_opencvs_letterbox(shared, tmp_path):
  path = shared / "data/coco_sample/input_images/000000439180.jpg"
  image = np.asarray(PIL.Image.open(path))  # 360 high, 640 wide
  records.write(tmp_path / "a.tfrecord", [records.example(7, image=image, form="png")])
  params = config(tmp_path, input_path=f"{tmp_path}/a.tfrecord", is_training=False)
  images, labels = take(build_dataset(params, input_size=320, category_ids=IDS))[0]
  expected = np.full((320, 320, 3), 114.0)
  expected[70:250] = cv2.resize(image, (320, 180), interpolation=cv2.INTER_AREA)
  assert np.abs(images[0] - expected).max() <= 1
  np.testing.assert_allclose(labels["image_info"][0], [0.5, 0.5, 70, 0])


def test_too_many_boxes_are_an_error_in_evaluation_and_dropped_in_training(folder):
  with pytest.raises(tf.errors.InvalidArgumentError, match="max_boxes"):
    take(build(config(folder, is_training=False, max_boxes=3)))
  assert take(build(config(folder, max_boxes=3)), 1)[0][1]["boxes"].shape == (4, 3, 4)


def test_overrides_reach_the_augmentation(folder):
  params = config(folder)
  params.override({"augmentation": {"group_size": 3}})
  with pytest.raises(UserError, match="group_size is 3"):
    build(params)
