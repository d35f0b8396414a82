"""Whole pipelines: what training and evaluation receive, and how training is taken up again."""

import dataclasses
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from official.datasets.categories import read_categories
from official.datasets.convert import Conversion, convert
from official.datasets.records import load_sidecar
from projects.maskformer.configs.data import Augmentation, DataConfig, Zoom
from projects.maskformer.dataloaders.maskformer_input import build_dataset
from projects.maskformer.dataloaders.targets import expand
from tests.projects.maskformer.dataloaders import records

SHARDS, IDS = (5, 2, 6, 4), (3, 9, 200)
TOTAL = sum(SHARDS)
SHAPES = [(48, 64), (80, 40), (66, 66)]
ALL = Augmentation(
  zoom=Zoom(probability=0.5, min_sizes=[30, 50], low=20, high=40), color=True
)  # fmt: skip


def make(number):
  """Image number n has n % 5 rows of segments, of three columns; every third is a crowd."""
  shape, rows = SHAPES[number % 3], number % 5
  places = records.cells(*shape, max(rows, 1), 3) * (rows > 0)
  labels = [IDS[n % 3] for n in range(3 * rows)]
  crowds = [n % 3 == 2 for n in range(3 * rows)]
  image = records.textured(*shape, places)
  form = ["jpeg", "png"][number % 2]
  return records.example(number, image, places, labels, crowds, form, range(100, 100 + 3 * rows))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("data")
  numbers = iter(range(TOTAL))
  for index, count in enumerate(SHARDS):
    shard = path / f"train-{index:05d}-of-{len(SHARDS):05d}.tfrecord"
    records.write(shard, [make(next(numbers)) for _ in range(count)])
  return path


def config(folder, **changes):
  base = DataConfig(
    input_path=f"{folder}/train-*.tfrecord", is_training=True, global_batch_size=4,
    shuffle_buffer_size=6, output_size=[64, 96], min_sizes=[40, 60], max_size=90, max_segments=10,
    groundtruth_size=[80, 70], augmentation=ALL,
  )  # fmt: skip
  return dataclasses.replace(base, **changes)


def build(params, start_step=0, context=None):
  return build_dataset(params, category_ids=IDS, input_context=context, start_step=start_step)


def take(dataset, count=-1):
  return list(dataset.take(count).as_numpy_iterator())


def test_training_batches(folder):
  images, labels = build(config(folder)).element_spec
  assert (images.shape, images.dtype) == ((4, 64, 96, 3), tf.uint8)
  assert {key: (spec.shape, spec.dtype) for key, spec in labels.items()} == {
    "segments": ((4, 64, 96), tf.uint8),
    "places": ((4, 10), tf.int32),
    "classes": ((4, 10), tf.int32),
    "valid": ((4, 10), tf.bool),
    "dropped": ((4,), tf.int32),
    "padding": ((4, 64, 96), tf.bool),
  }
  for images, labels in take(build(config(folder)), 8):
    valid, padding = labels["valid"], labels["padding"]
    assert set(labels["classes"][valid]) <= {0, 1}  # The third class is all crowds.
    assert (labels["classes"][~valid] == -1).all()
    assert (images[~padding] == 128).all()
    assert not labels["segments"][~padding].any()
    # The image is one rectangle in the top left corner.
    height, width = padding.any(2).sum(1), padding.any(1).sum(1)
    assert (height * width == padding.sum((1, 2))).all()
    assert padding[:, 0, 0].all()


AUGMENTATIONS = {
  "none": Augmentation(flip=0.0),
  "mirror": Augmentation(flip=1.0),
  "zoom": Augmentation(zoom=dataclasses.replace(ALL.zoom, probability=1.0)),
  "crop": Augmentation(crop=[30, 50]),
  "constrained crop": Augmentation(crop=[30, 50], max_category_area=0.6),
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_segments_lie_on_their_pixels(folder, name):
  """Every segment of a PNG has its own colour in the image, wherever augmentation moves it."""
  colours = np.random.default_rng(1).integers(0, 256, (256, 3))
  params = config(folder, augmentation=AUGMENTATIONS[name], global_batch_size=1)
  checked = 0
  for images, labels in take(build(params), TOTAL):
    made = {key: np.asarray(value[0]) for key, value in expand(labels).items()}
    expected = colours[labels["segments"][0]]
    away = np.abs(images[0].astype(int) - expected).max(-1)[labels["padding"][0]] > 40
    # Only where two colours meet, or in a JPEG's blocks near by.
    assert away.mean() < 0.3
    for place, mask, valid in zip(labels["places"][0], made["masks"], made["valid"], strict=True):
      np.testing.assert_array_equal(mask, (labels["segments"][0] == place) & valid)
      if valid and mask.sum() > 60:
        shown = np.median(images[0][mask.astype(bool)], axis=0)
        assert np.abs(shown - colours[place]).max() < 30
        checked += 1
  assert checked > 20


def test_a_mirror_turns_pixels_and_segments(folder):
  still, turned = (
    take(build(config(folder, augmentation=AUGMENTATIONS[name])), 3) for name in ("none", "mirror")
  )
  for (images, labels), (mirrored, others) in zip(still, turned, strict=True):
    np.testing.assert_array_equal(labels["padding"], others["padding"])
    for row in range(4):
      width = labels["padding"][row].any(0).sum()
      for one, other in ((images, mirrored), (labels["segments"], others["segments"])):
        np.testing.assert_array_equal(one[row][:, :width], other[row][:, :width][:, ::-1])


@pytest.mark.parametrize(("step", "pipelines"), [(1, 1), (10, 1), (3, 2)])
def test_a_run_taken_up_goes_on_bit_for_bit(folder, step, pipelines):
  for index in range(pipelines):
    context = tf.distribute.InputContext(pipelines, index, pipelines)
    params = config(folder, global_batch_size=4 * pipelines)
    whole = take(build(params, context=context), step + 3)[step:]
    resumed = take(build(params, step, context), 3)
    tf.nest.map_structure(np.testing.assert_array_equal, whole, resumed)


def test_the_seed_decides(folder):
  one, same, other = (take(build(config(folder, seed=seed)), 4) for seed in (1, 1, 2))
  tf.nest.map_structure(np.testing.assert_array_equal, one, same)
  assert not any(np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))


def test_the_same_record_is_never_augmented_alike(tmp_path):
  records.write(tmp_path / "a.tfrecord", [make(4)] * 4)
  batches = take(build(config(tmp_path, input_path=f"{tmp_path}/a.tfrecord")), 2)
  assert len({image.tobytes() for images, _ in batches for image in images}) == 8


def test_too_many_segments_are_counted(folder):
  params = config(folder, max_segments=3, augmentation=AUGMENTATIONS["none"], is_training=False)
  seen = {}
  for _, labels in take(build(params)):
    for source, present, dropped, valid in zip(
      labels["groundtruths"]["source_id"], labels["groundtruths"]["present"], labels["dropped"],
      labels["valid"], strict=True,
    ):  # fmt: skip
      if present:
        seen[int(source)] = (int(dropped), int(valid.sum()))
  # Two of three segments of a row are no crowds.
  assert seen == {n: (max(n % 5 * 2 - 3, 0), min(n % 5 * 2, 3)) for n in range(TOTAL)}


@pytest.mark.parametrize(("keep", "count"), [(True, 8), (False, None)])
def test_segments_that_a_crop_cuts_away(tmp_path, keep, count):
  records.write(tmp_path / "a.tfrecord", [make(4)])
  params = config(
    tmp_path, input_path=f"{tmp_path}/a.tfrecord", global_batch_size=1, keep_absent=keep,
    augmentation=Augmentation(crop=[20, 20]),
  )  # fmt: skip
  for _, labels in take(build(params), 5):
    valid = labels["valid"][0]
    there = np.isin(labels["places"][0], labels["segments"][0])
    assert valid.sum() == (count or (there & valid).sum())
    assert there[valid].all() == (not keep)


def test_evaluation_has_the_truth_in_its_own_size(folder):
  batches = take(build(config(folder, is_training=False)))
  assert len(batches) == 5
  seen = []
  for images, labels in batches:
    truth = labels["groundtruths"]
    assert images.shape == (4, 64, 96, 3)
    for row in range(4):
      each = {key: value[row] for key, value in truth.items()}
      if each["present"]:
        seen.append(int(each["source_id"]))
        check_truth(each)
        check_input(
          images[row], {k: v[row] for k, v in labels.items() if k != "groundtruths"}, each
        )
      else:
        assert not each["valid"].any()
        assert not labels["valid"][row].any()
  assert sorted(seen) == list(range(TOTAL))  # Those without segments, 0, 5, 10 and 15, too.


def check_truth(truth):
  number = int(truth["source_id"])
  height, width = SHAPES[number % 3]
  assert (truth["height"], truth["width"]) == (height, width)
  count = 3 * (number % 5)
  assert truth["segments"].shape == (80, 70)
  places = records.cells(height, width, max(count // 3, 1), 3) * (count > 0)
  np.testing.assert_array_equal(truth["segments"][:height, :width], places)
  assert truth["segments"].sum() == places.sum()
  assert truth["valid"].tolist() == [True] * count + [False] * (255 - count)
  assert truth["ids"][:count].tolist() == list(range(100, 100 + count))
  assert truth["classes"].tolist() == [n % 3 for n in range(count)] + [-1] * (255 - count)
  assert truth["is_crowd"][:count].tolist() == [n % 3 == 2 for n in range(count)]


def check_input(image, labels, truth):
  """Shortest side 40, or as high as there is room; at the top left, neither cut nor mirrored."""
  height, width = labels["shown"]
  expected = {(48, 64): (40, 53), (80, 40): (64, 32), (66, 66): (40, 40)}
  assert (height, width) == expected[truth["height"], truth["width"]]
  assert labels["padding"].sum() == height * width
  assert labels["padding"][:height, :width].all()
  assert (image[height:] == 128).all()
  assert (image[:, width:] == 128).all()
  rows = (np.arange(height) * 2 + 1) * truth["height"] // (2 * height)
  columns = (np.arange(width) * 2 + 1) * truth["width"] // (2 * width)
  expected = truth["segments"][np.ix_(rows, columns)]
  np.testing.assert_array_equal(labels["segments"][:height, :width], expected)


def test_pictures_in_evaluation_are_pils(shared, tmp_path):
  """Of real photographs, to the rounding of PIL's two passes, up and down."""
  for path in sorted((shared / "data/coco_sample/input_images").glob("*.jpg")):
    picture = PIL.Image.open(path)
    places = np.zeros((picture.height, picture.width), np.uint8)
    for size in (240, 560):
      records.write(tmp_path / "a.tfrecord", [records.example(1, np.asarray(picture), places, [])])
      params = config(
        tmp_path, input_path=f"{tmp_path}/a.tfrecord", is_training=False, min_sizes=[size],
        max_size=1333, output_size=[1000, 1000], global_batch_size=1, groundtruth_size=[640, 640],
      )  # fmt: skip
      images, labels = take(build(params), 1)[0]
      height, width = labels["shown"][0]
      expected = np.asarray(picture.resize((width, height), PIL.Image.Resampling.BILINEAR))
      difference = np.abs(images[0, :height, :width].astype(int) - expected)
      assert difference.max() <= 1
      assert difference.mean() < 0.25


def test_the_real_sample_from_files_to_masks(shared, tmp_path):
  """Every panoptic segment that is no crowd is a mask of its annotated area and class."""
  sample = shared / "data" / "coco_sample"
  convert(
    Conversion(
      images=sample / "input_images", output=tmp_path / "x", shards=1,
      panoptic=sample / "panoptic_examples.json", panoptic_masks=sample / "panoptic_examples",
    )
  )  # fmt: skip
  params = config(
    tmp_path, input_path=f"{tmp_path}/x-*.tfrecord", is_training=False, global_batch_size=2,
    min_sizes=[10000], max_size=640, output_size=[640, 640], groundtruth_size=[640, 640],
    max_segments=40,
  )  # fmt: skip
  categories = read_categories(params)
  assert [c.isthing for c in categories] == [True] * 80 + [False] * 53
  ids = [category.id for category in categories]
  (_, labels), *_ = take(build_dataset(params, category_ids=ids))
  content = json.loads((sample / "panoptic_examples.json").read_text())
  truth = {row["image_id"]: row["segments_info"] for row in content["annotations"]}
  made = expand(labels)
  for row in range(2):
    rows = truth[labels["groundtruths"]["source_id"][row]]
    area = made["masks"][row].numpy().sum((1, 2))[labels["valid"][row]]
    ours = [(ids[c], a) for c, a in zip(labels["classes"][row], area, strict=False)]
    assert ours == [(s["category_id"], s["area"]) for s in rows if not s["iscrowd"]]


def test_shapes_from_their_sidecar(shapes):
  params = config(shapes, input_path=f"{shapes}/train-*.tfrecord", max_segments=20)
  categories = read_categories(params)
  assert [(c.id, c.isthing) for c in categories] == [
    (1, True), (3, True), (7, True), (18, True), (44, True), (62, True),
    (92, False), (118, False), (149, False), (187, False),
  ]  # fmt: skip
  assert categories == list(load_sidecar(shapes / "train").categories)
  _, labels = take(build_dataset(params, category_ids=[c.id for c in categories]), 1)[0]
  assert (labels["valid"].sum(1) >= 1).all()
  assert (labels["classes"] <= 9).all()


def test_an_annotation_that_is_too_large_is_named(folder):
  with pytest.raises(tf.errors.InvalidArgumentError, match="groundtruth_size is too small"):
    take(build(config(folder, is_training=False, groundtruth_size=[79, 70])))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"output_size": [64]}, r"output_size is \[64\]"),
    ({"groundtruth_size": [0, 5]}, r"groundtruth_size is \[0, 5\]"),
    ({"min_sizes": []}, "min_sizes and max_size"),
    ({"min_sizes": [0, 5]}, "min_sizes and max_size"),
    ({"max_size": 0}, "min_sizes and max_size"),
    ({"max_segments": 256}, r"max_segments is 256; it must lie in 1\.\.255"),
    ({"max_segments": 0}, "max_segments is 0"),
    ({"augmentation": Augmentation(crop=[5])}, r"augmentation\.crop is \[5\]"),
    ({"augmentation": Augmentation(crop=[65, 96])}, r"crop \[65, 96\] does not fit into output_s"),
    ({"augmentation": dataclasses.replace(ALL, crop=[5, 5])}, "exclude each other"),
    ({"augmentation": Augmentation(flip=1.5)}, r"augmentation\.flip is 1\.5"),
    ({"augmentation": Augmentation(max_category_area=-1.0)}, "max_category_area is -1"),
    ({"augmentation": Augmentation(zoom=Zoom(probability=2.0))}, r"zoom\.probability is 2"),
    ({"augmentation": Augmentation(zoom=Zoom(low=9, high=8))}, "low at most high"),
    ({"augmentation": Augmentation(zoom=Zoom(min_sizes=[]))}, "min_sizes must be sides"),
  ],
)
def test_options_that_cannot_be(folder, changes, message):
  with pytest.raises(UserError, match=message):
    build(config(folder, **changes))


def test_overrides_reach_the_augmentation(folder):
  params = config(folder)
  params.override({"augmentation": {"zoom": {"probability": 1.5}}})
  with pytest.raises(UserError, match=r"zoom\.probability is 1\.5"):
    build(params)
