import resource

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from official.cli.errors import UserError
from official.datasets.records import load_sidecar
from official.datasets.tfds_coco import CocoFolder, build


def folders(root, panoptic=True):
  splits = {"train": "train", "validation": "val"}
  return [
    CocoFolder(
      split,
      root / "images" / name,
      root / f"annotations/instances_{name}.json",
      root / f"annotations/panoptic_{name}.json" if panoptic else None,
      root / f"annotations/panoptic_{name}" if panoptic else None,
    )
    for split, name in splits.items()
  ]


@pytest.fixture(scope="module")
def data_dir(shapes, tmp_path_factory):
  path = tmp_path_factory.mktemp("tfds")
  built = build("my_shapes", folders(shapes), path, stop=True)
  assert (built.examples, built.skipped) == ({"train": 40, "validation": 8}, [])
  return path


def test_features_are_those_of_coco_2017(shapes, tmp_path):
  build("plain", folders(shapes, panoptic=False), tmp_path, stop=True)
  ours = tfds.builder("plain", data_dir=tmp_path).info.features
  theirs = tfds.builder("coco/2017", data_dir=tmp_path, try_gcs=False).info.features
  assert ours.get_tensor_spec() == theirs.get_tensor_spec()
  assert repr(ours).replace("num_classes=6", "num_classes=80") == repr(theirs)


def test_panoptic_features_are_those_of_coco_2017_panoptic(data_dir, tmp_path):
  ours = tfds.builder("my_shapes", data_dir=data_dir).info.features.get_tensor_spec()
  theirs = tfds.builder("coco/2017_panoptic", data_dir=tmp_path, try_gcs=False).info.features
  ours.pop("objects")
  assert ours == theirs.get_tensor_spec()


def records(shapes):
  examples = {}
  for path in sorted(shapes.glob("train-*.tfrecord")):
    for record in tf.data.TFRecordDataset(str(path)):
      example = tf.train.Example.FromString(record.numpy()).features.feature
      examples[int(example["image/source_id"].bytes_list.value[0])] = example
  return examples


def test_read_back_equal_to_the_records(shapes, data_dir):
  sidecar, examples = load_sidecar(shapes / "train"), records(shapes)
  builder = tfds.builder_from_directory(data_dir / "my_shapes" / "1.0.0")
  numbers = {category.id: number for number, category in enumerate(sidecar.things)}
  seen = 0
  for row in tfds.as_numpy(tfds.load("my_shapes", split="train", data_dir=data_dir)):
    example = examples.pop(row["image/id"])
    pixels = tf.io.decode_jpeg(example["image/encoded"].bytes_list.value[0]).numpy()
    np.testing.assert_array_equal(row["image"], pixels)
    assert [row["image/filename"]] == list(example["image/filename"].bytes_list.value)
    sides = [f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax")]
    boxes = np.array([list(example[side].float_list.value) for side in sides], np.float32).T
    np.testing.assert_array_equal(row["objects"]["bbox"], boxes.reshape(-1, 4))
    labels = [numbers[n] for n in example["image/object/class/label"].int64_list.value]
    assert row["objects"]["label"].tolist() == labels
    crowd = list(example["image/object/is_crowd"].int64_list.value)
    assert row["objects"]["is_crowd"].tolist() == crowd
    assert row["objects"]["area"].tolist() == list(example["image/object/area"].float_list.value)
    check_panoptic(row, example, sidecar)
    seen += len(labels)
  assert not examples
  assert seen == sidecar.boxes
  names = [category.name for category in sidecar.things]
  assert builder.info.features["objects"]["label"].names == names
  assert builder.info.metadata["category_ids"] == [c.id for c in sidecar.categories]


def check_panoptic(row, example, sidecar):
  data = example["image/panoptic/category_mask"].bytes_list.value[0]
  category = tf.io.decode_png(data)[..., 0].numpy()
  ids = row["panoptic_image"].astype(int) @ [1, 256, 65536]
  objects = row["panoptic_objects"]
  for identity, label in zip(objects["id"], objects["label"], strict=True):
    assert set(category[ids == identity]) == {sidecar.categories[label].id}


def test_bad_input(folder, tmp_path):
  folder.save()
  folder.image(2).unlink()
  row = CocoFolder("train", folder.root / "images", folder.root / "instances.json")
  with pytest.raises(UserError, match=r"images/2\.jpg: image id 2: cannot read"):
    build("pets", [row], tmp_path / "data", stop=True)
  built = build("pets", [row], tmp_path / "data", stop=False)
  assert built.examples == {"train": 2}
  assert "image id 2" in built.skipped[0]
  with pytest.raises(UserError, match=r"pets/1\.0\.0 is there already"):
    build("pets", [row], tmp_path / "data", stop=False)
  with pytest.raises(UserError, match="--name My-Pets: TFDS wants"):
    build("My-Pets", [row], tmp_path / "data", stop=False)


def test_no_room(folder, tmp_path):
  """A limit on the size of files stands for a full disk."""
  folder.save()
  row = CocoFolder("train", folder.root / "images", folder.root / "instances.json")
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
  try:
    with pytest.raises(UserError, match=r"cannot write \S*pets/1\.0\.0: .*File too large"):
      build("pets", [row], tmp_path / "data", stop=True)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert not list((tmp_path / "data" / "pets").iterdir())
  assert build("pets", [row], tmp_path / "data", stop=True).examples == {"train": 3}


def test_splits_of_different_tables(folder, shapes, tmp_path):
  row = CocoFolder("test", folder.root / "images", folder.root / "instances.json")
  with pytest.raises(UserError, match="differ in their category tables"):
    build("mixed", [folders(shapes, panoptic=False)[0], row], tmp_path, stop=True)


def test_pairing():
  assert [f.split for f in CocoFolder.pair(["a", "b"], ["x", "y"], ["p", "q"])] == ["a", "b"]
  with pytest.raises(UserError, match="as many values each"):
    CocoFolder.pair(["a"], ["x", "y"], ["p"])
  with pytest.raises(UserError, match="as many values each"):
    CocoFolder.pair(["a"], ["x"], ["p"], panoptic=["z"])
  with pytest.raises(UserError, match="a name is there twice"):
    CocoFolder.pair(["a", "a"], ["x", "y"], ["p", "q"])
