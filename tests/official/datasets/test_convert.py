import hashlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official.cli.errors import UserError
from official.datasets.convert import convert
from official.datasets.records import count_records, load_sidecar

ROOT = pathlib.Path(__file__).resolve().parents[3]


def read(directory):
  """The features of all records, in the order of the files' names."""
  examples = []
  for path in sorted(directory.glob("*.tfrecord")):
    for record in tf.data.TFRecordDataset(str(path)):
      examples.append(tf.train.Example.FromString(record.numpy()).features.feature)
  return examples


def files(directory, but=".manifest.json"):
  return {p.name: p.read_bytes() for p in directory.iterdir() if not p.name.endswith(but)}


def test_features_by_hand(folder):
  folder.instances["annotations"][2]["iscrowd"] = 1
  sidecar = convert(folder.conversion())
  records = read(folder.root / "out")
  assert [r["image/source_id"].bytes_list.value[0] for r in records] == [b"1", b"2", b"3"]
  record, data = records[1], folder.image(2).read_bytes()
  assert record["image/encoded"].bytes_list.value[0] == data
  assert record["image/format"].bytes_list.value[0] == b"jpg"
  assert record["image/filename"].bytes_list.value[0] == b"2.jpg"
  digest = record["image/key/sha256"].bytes_list.value[0]
  assert digest == hashlib.sha256(data).hexdigest().encode()
  size = [record[f"image/{side}"].int64_list.value[0] for side in ("height", "width")]
  assert size == [30, 40]
  sides = ("xmin", "ymin", "xmax", "ymax")
  boxes = [list(record[f"image/object/bbox/{side}"].float_list.value) for side in sides]
  expected = np.array([[5, 6, 15.5, 13], [1, 2, 4, 6]]).T / [[40], [30], [40], [30]]
  np.testing.assert_allclose(boxes, expected, rtol=1e-6)
  assert list(record["image/object/class/label"].int64_list.value) == [9, 5]
  assert list(record["image/object/class/text"].bytes_list.value) == [b"dog", b"cat"]
  assert list(record["image/object/is_crowd"].int64_list.value) == [0, 1]
  assert list(record["image/object/area"].float_list.value) == [73.5, 12]
  assert "image/object/bbox/xmin" not in records[2]
  assert not any("mask" in name or "panoptic" in name for name in record)
  assert (sidecar.examples, sidecar.boxes, sidecar.skipped) == ((3,), 3, ())
  assert load_sidecar(folder.root / "out" / "x") == sidecar


def test_panoptic_alone_gives_boxes_and_their_masks(folder):
  sidecar = convert(folder.conversion(panoptic=True, instances=None, masks=True))
  assert sidecar.boxes == 3
  record = read(folder.root / "out")[0]
  assert list(record["image/object/area"].float_list.value) == [400]
  mask = tf.io.decode_png(record["image/object/mask"].bytes_list.value[0])[..., 0].numpy()
  assert mask.sum() == 400
  assert mask[:10].all()
  category = tf.io.decode_png(record["image/panoptic/category_mask"].bytes_list.value[0])
  assert set(np.unique(category)) == {0, 5, 100}


def segments(example):
  """The place of each pixel, and the rows (id, label, is_crowd) of the segments."""
  mask = tf.io.decode_png(example["image/segments/mask"].bytes_list.value[0])[..., 0].numpy()
  columns = (
    example[f"image/segments/{name}"].int64_list.value for name in ("id", "label", "is_crowd")
  )
  return mask, list(zip(*columns, strict=True))


def test_segments_with_crowds(folder):
  folder.panoptic["annotations"][1]["segments_info"][0]["iscrowd"] = 1
  convert(folder.conversion(panoptic=True))
  first, second, _ = map(segments, read(folder.root / "out"))
  assert first[1] == [(131335, 5, 0), (768, 100, 0)]
  assert second[1] == [(131335, 5, 1), (768, 100, 0)]
  expected = np.zeros((30, 40))
  expected[:10], expected[20:, :20] = 1, 2
  np.testing.assert_array_equal(second[0], expected)


def test_categories_that_upstreams_masks_cannot_hold(folder):
  """Stuff from id 0 on, as ADE20K's; what is TFMG's is left out and the rest is there."""
  for row in folder.panoptic["categories"]:
    row["id"] = {100: 0}.get(row["id"], row["id"])
  for row in folder.panoptic["annotations"]:
    row["segments_info"][1]["category_id"] = 0
  convert(folder.conversion(panoptic=True))
  example = read(folder.root / "out")[0]
  assert segments(example)[1] == [(131335, 5, 0), (768, 0, 0)]
  assert not any("panoptic" in name or "segmentation" in name for name in example)


def test_the_real_segments(shared, tmp_path):
  """Every segment of the sample has its annotated area, category and crowd flag."""
  from official.datasets.convert import Conversion

  sample = shared / "data" / "coco_sample"
  convert(
    Conversion(
      images=sample / "input_images", output=tmp_path / "x", shards=1,
      panoptic=sample / "panoptic_examples.json", panoptic_masks=sample / "panoptic_examples",
    )
  )  # fmt: skip
  content = json.loads((sample / "panoptic_examples.json").read_text())
  expected = {row["image_id"]: row["segments_info"] for row in content["annotations"]}
  for example in read(tmp_path):
    mask, rows = segments(example)
    truth = expected[int(example["image/source_id"].bytes_list.value[0])]
    assert rows == [(s["id"], s["category_id"], s["iscrowd"]) for s in truth]
    assert np.bincount(mask.ravel())[1:].tolist() == [s["area"] for s in truth]


def test_png_images(folder):
  path = folder.root / "images" / "1.png"
  Image.open(folder.image(1)).save(path)
  folder.instances["images"][0]["file_name"] = "1.png"
  convert(folder.conversion())
  record = read(folder.root / "out")[0]
  assert record["image/format"].bytes_list.value[0] == b"png"
  assert record["image/encoded"].bytes_list.value[0] == path.read_bytes()


def remove(path):
  path.unlink()


def halve(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shrink(path):
  image = Image.open(path).copy()
  image.resize((20, 30)).save(path)


def blacken(path):
  Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path)


@pytest.mark.parametrize(
  ("kind", "spoil", "message"),
  [
    ("image", remove, r"cannot read \S*2\.jpg: No such file"),
    ("image", halve, "the image is broken or truncated"),
    ("image", shrink, "the image is 20x30, not 40x30"),
    ("mask", remove, r"cannot read the mask \S*2\.png"),
    ("mask", halve, r"cannot read the mask \S*2\.png"),
    ("mask", shrink, r"the mask \S*2\.png is 20x30, the image 40x30"),
    ("mask", blacken, r"\S*2\.png: segment 131335 has no pixel"),
  ],
)
def test_bad_files(folder, kind, spoil, message):
  check_bad_file(folder, kind, spoil, message, workers=1)


def test_a_bad_file_in_another_process(folder):
  check_bad_file(folder, "image", halve, "the image is broken or truncated", workers=2)


def check_bad_file(folder, kind, spoil, message, workers):
  spoil(getattr(folder, kind)(2))
  out = folder.root / "out"
  options = {"panoptic": True, "shards": workers, "workers": workers}
  with pytest.raises(UserError, match=rf"images/2\.jpg: image id 2: {message}.*--on-error skip"):
    convert(folder.conversion(**options))
  assert not (out / "x.json").exists()
  assert not list(out.glob("*.partial"))
  sidecar = convert(folder.conversion(**options, stop=False))
  assert len(sidecar.skipped) == 1
  assert "image id 2" in sidecar.skipped[0]
  ids = [r["image/source_id"].bytes_list.value[0] for r in read(out)]
  assert sorted(ids) == [b"1", b"3"]
  assert sidecar.boxes == 1
  with pytest.raises(UserError, match="image id 2"):
    convert(folder.conversion(**options))


def test_bad_mask_of_one_object(folder):
  folder.instances["annotations"][1]["segmentation"] = {"size": [40, 30], "counts": [1200]}
  assert convert(folder.conversion()).boxes == 3
  with pytest.raises(UserError, match=r"image id 2: annotation id 12: the mask's size"):
    convert(folder.conversion(masks=True))
  sidecar = convert(folder.conversion(masks=True, stop=False))
  assert (sidecar.boxes, len(sidecar.skipped)) == (2, 1)
  assert list(read(folder.root / "out")[1]["image/object/class/label"].int64_list.value) == [5]


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"shards": 4}, "--shards 4, but there are only 3 usable images"),
    ({"shards": 0}, "--shards and --workers must be at least 1"),
    ({"panoptic_masks": pathlib.Path("x")}, "--panoptic and --panoptic-masks belong together"),
    ({"output": pathlib.Path("/dev/null/x")}, "cannot make the directory /dev/null"),
  ],
)
def test_options_that_cannot_be(folder, options, message):
  with pytest.raises(UserError, match=message):
    convert(folder.conversion(**options))


def test_disk_full(folder):
  out = folder.root / "out"
  out.mkdir()
  partial = out / "x-00000-of-00001.tfrecord.partial"
  partial.symlink_to("/dev/full")
  with pytest.raises(UserError, match=r"cannot write .*00001\.tfrecord: No space left on device"):
    convert(folder.conversion())
  assert set(files(out)) == set()
  assert convert(folder.conversion()).examples == (3,)


def test_shards_of_another_number_are_not_mixed_in(folder):
  convert(folder.conversion(shards=2))
  with pytest.raises(UserError, match=r"x-00000-of-00002\.tfrecord is of another number of shards"):
    convert(folder.conversion(shards=3))
  assert len(read(folder.root / "out")) == 3


def states(directory):
  states = ((path.name, path.stat()) for path in directory.glob("*.tfrecord"))
  return {name: (state.st_ino, state.st_mtime_ns) for name, state in states}


def test_running_again_keeps_what_holds(folder):
  out = folder.root / "out"
  first = convert(folder.conversion(shards=3))
  before = states(out)
  assert convert(folder.conversion(shards=3)) == first
  assert states(out) == before
  Image.open(folder.image(3)).rotate(180).save(folder.image(2))
  convert(folder.conversion(shards=3))
  changed = {name for name, state in states(out).items() if state != before[name]}
  assert changed == {"x-00001-of-00003.tfrecord"}
  (out / "x-00000-of-00003.tfrecord").write_bytes(b"")
  convert(folder.conversion(shards=3))
  assert all(count_records(out / name) == 1 for name in before)


def test_no_sidecar_beside_shards_of_two_inputs(folder):
  convert(folder.conversion(shards=3))
  halve(folder.image(3))
  with pytest.raises(UserError, match="image id 3"):
    convert(folder.conversion(shards=3))
  assert not (folder.root / "out" / "x.json").exists()


def test_other_annotations_and_options_write_everything_anew(folder):
  out = folder.root / "out"
  convert(folder.conversion(shards=3))
  for options in ({"masks": True}, {"panoptic": True}):
    before = states(out)
    convert(folder.conversion(shards=3, **options))
    assert not set(states(out).values()) & set(before.values())
  folder.instances["annotations"][0]["category_id"] = 9
  convert(folder.conversion(shards=3, panoptic=True))
  assert list(read(out)[0]["image/object/class/label"].int64_list.value) == [9]


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_then_resumed(shapes, tmp_path, workers):
  """SIGKILL while an image of the last shard is being read; what is left, and what resumes."""
  images, shards = tmp_path / "images", 4
  images.mkdir()
  for path in (shapes / "images/train").iterdir():
    os.link(path, images / path.name)
  command = [sys.executable, "-m", "tools.prepare_data", "coco", f"--images={images}"]
  command += [f"--instances={shapes / 'annotations/instances_train.json'}", "--masks"]
  command += [f"--shards={shards}", f"--workers={workers}"]
  run = lambda name: [*command, f"--output={tmp_path / name / 'x'}"]
  subprocess.run(run("whole"), cwd=ROOT, check=True, capture_output=True)
  victim = sorted(images.iterdir())[-1]
  data = victim.read_bytes()
  victim.unlink()
  os.mkfifo(victim)
  process = subprocess.Popen(run("out"), cwd=ROOT, stderr=subprocess.PIPE)
  with open(victim, "wb", buffering=0) as pipe:  # Opens when the last image is opened.
    process.send_signal(signal.SIGKILL)
    process.wait()
    poll = select.poll()
    poll.register(pipe, 0)
    assert poll.poll(20_000), "the reader outlives the killed run"
  process.stderr.close()
  out, whole = tmp_path / "out", files(tmp_path / "whole")
  left = files(out)
  assert "x.json" not in left
  finished = [name for name in left if name.endswith(".tfrecord")]
  assert len(finished) >= shards - workers
  assert "x-00003-of-00004.tfrecord" not in finished
  assert all(left[name] == whole[name] for name in finished)
  before = states(out)
  victim.unlink()
  victim.write_bytes(data)
  subprocess.run(run("out"), cwd=ROOT, check=True, capture_output=True)
  assert files(out) == whole
  kept = {name for name, state in states(out).items() if before.get(name) == state}
  if workers == 1:  # Else the run may die before it has noted what a worker finished.
    assert len(kept) == shards - 1


def test_the_real_sample(shared, tmp_path):
  sample = shared / "data" / "coco_sample"
  from official.datasets.convert import Conversion

  sidecar = convert(
    Conversion(
      images=sample / "input_images",
      output=tmp_path / "x",
      shards=1,
      panoptic=sample / "panoptic_examples.json",
      panoptic_masks=sample / "panoptic_examples",
      masks=True,
    )
  )
  assert sidecar.examples == (2,)
  assert len(sidecar.things) == 80
  records = read(tmp_path)
  assert sum(len(r["image/object/area"].float_list.value) for r in records) == sidecar.boxes
  for record in records:
    areas = record["image/object/area"].float_list.value
    masks = [tf.io.decode_png(data) for data in record["image/object/mask"].bytes_list.value]
    assert [int(tf.reduce_sum(tf.cast(mask, tf.int32))) for mask in masks] == list(areas)
    boxes = [
      list(record[f"image/object/bbox/{side}"].float_list.value)
      for side in ("ymin", "xmin", "ymax", "xmax")
    ]
    height, width = (record[f"image/{side}"].int64_list.value[0] for side in ("height", "width"))
    for mask, *box in zip(masks, *boxes, strict=True):
      y, x = np.nonzero(mask[..., 0])
      tight = [y.min() / height, x.min() / width, (y.max() + 1) / height, (x.max() + 1) / width]
      np.testing.assert_allclose(box, tight, atol=1e-6)
