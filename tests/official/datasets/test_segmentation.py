"""Published layouts of images with label files, against hand counts."""

import json

import numpy as np
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from official.datasets import ade20k, cityscapes, coco_stuff, mapillary, segmentation
from official.datasets.records import load_sidecar
from official.datasets.writing import Output
from tests.official.datasets import layouts
from tests.official.datasets.layouts import LABELS

LAYOUTS = {
  "ade20k": lambda root: (layouts.ade20k(root), ade20k.semantic(root, "validation"))[1],
  "ade20k panoptic": lambda root: ade20k.panoptic(root, "validation", layouts.ade20k(root)),
  "ade20k-full": lambda root: ade20k.full(root, "training", layouts.ade20k_full(root)),
  "cityscapes": lambda root: (layouts.cityscapes(root), cityscapes.semantic(root, "val"))[1],
  "mapillary": lambda root: mapillary.semantic(root, "training", layouts.mapillary(root)),
  "coco-stuff": lambda root: coco_stuff.semantic(root, "train", layouts.coco_stuff(root)),
}


def convert(layout, root, **options):
  return segmentation.convert(layout, Output(root / "out" / "x", **{"shards": 1} | options))


def read(root):
  """The features of all records."""
  examples = []
  for path in sorted((root / "out").glob("*.tfrecord")):
    for record in tf.data.TFRecordDataset(str(path)):
      examples.append(tf.train.Example.FromString(record.numpy()).features.feature)
  return examples


def pixels(feature):
  return tf.io.decode_png(feature.bytes_list.value[0])[..., 0].numpy()


def values(example, name):
  return list(example[f"image/segments/{name}"].int64_list.value)


def labels_of(example, void=-9):
  """The category id of each pixel."""
  table = np.array([void, *values(example, "label")])
  return table[pixels(example["image/segments/mask"])]


@pytest.mark.parametrize(
  ("name", "lookup", "classes"),
  [
    ("ade20k", [-9, 1, 2, 3, 4, 5], [255, 0, 1, 2, 3, 4]),
    ("ade20k-full", [-9, 0, 1, 2, 300, 846], [255, 0, 1, 2, 3, 4]),
    ("cityscapes", [-9, 7, 26, 33, -9, -9], [255, 0, 13, 18, 255, 255]),
    ("mapillary", [0, -9, 2, 3, 4, -9], [0, 255, 1, 2, 3, 255]),
    ("coco-stuff", [-9, 2, 12, 13, 100, 172], [255, 0, 10, 11, 98, 170]),
  ],
)
def test_semantic_layouts(name, lookup, classes, tmp_path):
  sidecar = convert(LAYOUTS[name](tmp_path), tmp_path)
  records = read(tmp_path)
  assert sidecar.examples == (len(records),) == (2,)
  assert load_sidecar(tmp_path / "out" / "x") == sidecar
  assert not sidecar.things
  for example in records:
    np.testing.assert_array_equal(labels_of(example), np.array(lookup)[LABELS])
    tfmg = pixels(example["image/segmentation/class/encoded"])
    np.testing.assert_array_equal(tfmg, np.array(classes)[LABELS])
    present = sorted({each for each in lookup if each >= 0})
    assert values(example, "label") == values(example, "id") == present
    assert not any(values(example, "is_crowd"))
    assert "image/object/bbox/xmin" not in example
  sources = [int(r["image/source_id"].bytes_list.value[0]) for r in records]
  assert sources == [1, 2]


def test_the_tables(tmp_path):
  tables = {}
  for name, make in LAYOUTS.items():
    root = tmp_path / name
    root.mkdir()
    tables[name] = [(c.id, c.name, c.isthing) for c in make(root).categories]
  assert tables["ade20k"][1] == (2, "building, edifice", False)
  assert [row[2] for row in tables["ade20k panoptic"]] == [False, False, False, True, True]
  assert [row[:2] for row in tables["ade20k-full"]][:3] == [
    (0, "class 0"), (1, "class 1"), (2, "class 2"),
  ]  # fmt: skip
  assert [row[:2] for row in tables["mapillary"]] == [
    (0, "Bird"), (2, "Curb"), (3, "Road"), (4, "Sky"),
  ]  # fmt: skip
  assert len(tables["coco-stuff"]) == 171
  assert tables["coco-stuff"][0][:2] == (2, "name 1")
  assert tables["coco-stuff"][11][:2] == (13, "name 13")  # The twelfth label is not used.
  assert tables["coco-stuff"][-1][:2] == (172, "name 182")
  assert len(tables["cityscapes"]) == 19
  assert tables["cityscapes"][13][:2] == (26, "car")


def test_cityscapes_are_read_in_sorted_order(tmp_path):
  convert(LAYOUTS["cityscapes"](tmp_path), tmp_path)
  names = [r["image/filename"].bytes_list.value[0] for r in read(tmp_path)]
  assert names[0].startswith(b"aachen")
  assert names[1].startswith(b"zurich")


def test_ade20k_panoptic_by_hand(tmp_path):
  layout = LAYOUTS["ade20k panoptic"](tmp_path)
  convert(layout, tmp_path)
  example = read(tmp_path)[0]
  # Stuff 1, 2 and 3, then the instances 3 (person), 4 (car) and 9 (person).
  assert values(example, "label") == [1, 2, 3, 4, 5, 4]
  assert values(example, "id") == [1, 2, 3, 4, 5, 6]
  assert values(example, "is_crowd") == [0] * 6
  expected = [[0, 0, 6, 1, 4, 4], [0, 3, 6, 1, 4, 4], [2, 2, 5, 5, 4, 0], [2, 2, 5, 5, 6, 0]]
  np.testing.assert_array_equal(pixels(example["image/segments/mask"]), expected)
  assert "image/segmentation/class/encoded" not in example


def test_ade20k_panoptic_without_void_and_with_hidden_stuff(tmp_path):
  layout = LAYOUTS["ade20k panoptic"](tmp_path)
  labels, numbers = layout.images[0].labels
  layouts.save(labels, np.where(LABELS == 3, 3, 1).astype(np.uint8))
  hiding = np.where(LABELS == 3, 9, 0)
  channels = np.stack([hiding // 9, hiding, hiding], -1).astype(np.uint8)
  layouts.save(numbers, channels)
  convert(layout, tmp_path)
  example = read(tmp_path)[0]
  assert values(example, "label") == [1, 4]
  np.testing.assert_array_equal(pixels(example["image/segments/mask"]), np.where(LABELS == 3, 2, 1))


def test_too_many_classes_for_eight_bits(tmp_path):
  path = layouts.ade20k_full(tmp_path)
  path.write_text(json.dumps([{"name": f"c {n}", "trainId": n} for n in range(847)]))
  layout = ade20k.full(tmp_path, "training", path)
  assert len(layout.categories) == 847
  convert(layout, tmp_path)
  example = read(tmp_path)[0]
  assert "image/segmentation/class/encoded" not in example
  assert values(example, "label") == [0, 1, 2, 300, 846]


def test_an_image_of_void_alone(tmp_path):
  layout = LAYOUTS["ade20k"](tmp_path)
  layouts.save(layout.images[0].labels[0], np.zeros_like(LABELS, np.uint8))
  convert(layout, tmp_path)
  first, second = read(tmp_path)
  assert not pixels(first["image/segments/mask"]).any()
  assert values(first, "label") == values(first, "is_crowd") == []
  assert values(second, "label") == [1, 2, 3, 4, 5]


BAD = {
  "a label that is unknown": (
    lambda path: layouts.save(path, np.where(LABELS == 5, 6, LABELS).astype(np.uint8)),
    "ADE_val_00000002.png: label 6 is neither a category nor void",
  ),
  "labels of another size": (
    lambda path: layouts.save(path, LABELS[:, :5].astype(np.uint8)), "are 5x4, the image 6x4",
  ),
  "labels of several channels": (
    lambda path: layouts.save(path, np.zeros((4, 6, 3), np.uint8)), "are RGB, not one number",
  ),
  "no labels": (lambda path: path.unlink(), "cannot read the labels .*00002.png"),
  "half the labels": (
    lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot read the labels .*00002.png",
  ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", ["ade20k", "ade20k panoptic"])
def test_bad_labels(name, kind, tmp_path):
  layout = LAYOUTS[name](tmp_path)
  spoil, message = BAD[kind]
  spoil(layout.images[1].labels[0])
  with pytest.raises(UserError, match=rf"00002\.jpg: image id 2: .*{message}.*--on-error skip"):
    convert(layout, tmp_path)
  assert not (tmp_path / "out" / "x.json").exists()
  sidecar = convert(layout, tmp_path, stop=False)
  assert (sidecar.examples, len(sidecar.skipped)) == ((1,), 1)


def test_bad_instances(tmp_path):
  layout = LAYOUTS["ade20k panoptic"](tmp_path)
  path = layout.images[1].labels[1]
  channels = np.stack([layouts.CATEGORY, layouts.NUMBER, layouts.NUMBER], -1).astype(np.uint8)
  two = channels.copy()
  two[0, 4, 0] = 2
  layouts.save(path, two)
  with pytest.raises(UserError, match=r"00002\.png: an instance has two categories"):
    convert(layout, tmp_path)
  layouts.save(path, np.where(channels == 2, 77, channels))
  with pytest.raises(UserError, match=r"00002\.png: instance category 77 is not in the table"):
    convert(layout, tmp_path)
  layouts.save(path, channels[..., 0])
  with pytest.raises(UserError, match=r"00002\.png is L, not RGB"):
    convert(layout, tmp_path)


def test_bad_images(tmp_path):
  layout = LAYOUTS["ade20k"](tmp_path)
  path = layout.images[1].image
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(UserError, match="image id 2: the image is broken or truncated"):
    convert(layout, tmp_path)
  path.write_bytes(b"no image")
  with pytest.raises(UserError, match="image id 2: the file is neither JPEG nor PNG"):
    convert(layout, tmp_path)


def test_bad_matrices(tmp_path):
  import h5py

  layout = LAYOUTS["coco-stuff"](tmp_path)
  path = layout.images[1].labels[0]
  for content, message in [
    ({"S": np.full((6, 4), 2.5)}, "are not whole numbers"),
    ({"S": np.full((6, 4), 0)}, "000009.mat: label 0 is neither"),
    ({"S": np.full((6, 4), 173)}, "label 173 is neither"),
    ({"S": np.full((4, 6), 2)}, "are 4x6, the image 6x4"),
    ({"T": np.full((6, 4), 2)}, "cannot read the labels S of .*000009.mat"),
  ]:
    with h5py.File(path, "w") as file:
      for key, value in content.items():
        file[key] = value
    with pytest.raises(UserError, match=f"image id 2: .*{message}"):
      convert(layout, tmp_path)


def write(path, text):
  path.write_text(text)


@pytest.mark.parametrize(
  ("name", "file", "text", "message"),
  [
    ("ade20k", "objectInfo150.txt", "Idx\tName\n", "names no category"),
    ("ade20k", "objectInfo150.txt", "Idx\tName\n1\twall\n1\tsky\n", "id 1 'sky' is there twice"),
    ("ade20k", "objectInfo150.txt", "Idx\tName\n1\twall\nx\tsky\n", "row 2: 'x' is not a whole"),
    ("ade20k", "objectInfo150.txt", "1 wall\n", "names no category"),
    ("ade20k", "objectInfo150.txt", "1\twall\n2 sky\n", "row 2: '2 sky' is not a number and a"),
    ("ade20k panoptic", "map.txt", "a b\n1\n", "map.txt: row 1: '1' is not two numbers"),
    ("ade20k-full", "classes.json", "[", "classes.json is not JSON"),
    ("ade20k-full", "classes.json", "{}", "names no category"),
    ("ade20k-full", "classes.json", '[{"name": "a"}]', "row 1: no field 'trainId'"),
    ("ade20k-full", "classes.json", '[{"name": "", "trainId": 1}]', "row 1: name '' is not a"),
    ("mapillary", "config.json", "{}", "config.json has no list 'labels'"),
    ("mapillary", "config.json", '{"labels": [{"readable": "x"}]}', "row 1: no field 'evaluate'"),
    (
      "mapillary", "config.json", '{"labels": [{"readable": "x", "evaluate": false}]}',
      "marks no label as evaluated",
    ),
    (
      "mapillary", "config.json", '{"labels": [{"readable": "x", "evaluate": 1}]}',
      "evaluate 1 is neither true nor false",
    ),
    ("coco-stuff", "labels.txt", "1 person\n", "row 1: '1 person' is not NUMBER: NAME"),
    ("coco-stuff", "imageLists/train.txt", "\n", "train.txt names no image"),
  ],
)  # fmt: skip
def test_bad_tables(name, file, text, message, tmp_path, monkeypatch):
  make = {
    "ade20k": lambda: ade20k.semantic(tmp_path, "validation"),
    "ade20k panoptic": lambda: ade20k.panoptic(tmp_path, "validation", tmp_path / "map.txt"),
    "ade20k-full": lambda: ade20k.full(tmp_path, "training", tmp_path / "classes.json"),
    "mapillary": lambda: mapillary.semantic(tmp_path, "training", tmp_path / "config.json"),
    "coco-stuff": lambda: coco_stuff.semantic(tmp_path, "train", tmp_path / "labels.txt"),
  }[name]
  LAYOUTS[name](tmp_path)
  make()
  (tmp_path / file).write_text(text)
  with pytest.raises(UserError, match=message):
    make()
  (tmp_path / file).write_bytes(b"\xff\xfe\xff")
  with pytest.raises(UserError, match="is not a text file"):
    make()
  (tmp_path / file).unlink()
  with pytest.raises(UserError, match=f"cannot read .*{file}"):
    make()


def test_missing_folders(tmp_path):
  layouts.ade20k(tmp_path)
  with pytest.raises(UserError, match=r"no image \*\.jpg in .*images/training"):
    ade20k.semantic(tmp_path, "training")


def test_another_table_writes_everything_anew(tmp_path):
  def inode():
    return next((tmp_path / "out").glob("*.tfrecord")).stat().st_ino

  convert(LAYOUTS["ade20k"](tmp_path), tmp_path)
  first = inode()
  convert(ade20k.semantic(tmp_path, "validation"), tmp_path)
  assert inode() == first
  convert(ade20k.panoptic(tmp_path, "validation", tmp_path / "map.txt"), tmp_path)
  second = inode()
  assert second != first
  (tmp_path / "map.txt").write_text(layouts.INSTANCES.replace("1\t4", "1\t5"))
  convert(ade20k.panoptic(tmp_path, "validation", tmp_path / "map.txt"), tmp_path)
  assert inode() != second


def test_several_processes_write_the_same(tmp_path):
  layout = LAYOUTS["mapillary"](tmp_path)
  convert(layout, tmp_path, shards=2)
  read_all = lambda: [path.read_bytes() for path in sorted((tmp_path / "out").glob("*.tfrecord"))]
  one = read_all()
  for path in (tmp_path / "out").iterdir():
    path.unlink()
  convert(layout, tmp_path, shards=2, workers=2)
  assert read_all() == one
