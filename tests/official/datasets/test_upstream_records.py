"""Our records beside those of upstream's create_coco_tf_record, feature by feature."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from official.datasets.convert import Conversion, convert


@pytest.fixture(scope="module")
def upstream():
  """Upstream's module, its flags parsed, its overflow of uint8 under NumPy 2 mended."""
  from official.vision.data import create_coco_tf_record, tfrecord_lib

  if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      tfrecord_lib, "read_image", lambda path: np.asarray(Image.open(path)).astype(np.int32)
    )
    flags.FLAGS.num_processes = 0
    yield create_coco_tf_record


def read(directory):
  examples = {}
  for path in sorted(directory.glob("*.tfrecord")):
    records = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]
    examples[path.name] = [dict(record.features.feature) for record in records]
  return examples


def value(feature):
  kind = feature.WhichOneof("kind")
  return kind, list(getattr(feature, kind).value)


def pixels(pngs):
  images = [Image.open(io.BytesIO(data)) for data in pngs]
  return [(image.mode, image.size, image.tobytes()) for image in images]


def without_holes(folder, path):
  """Upstream cannot decode the run lengths of a single object, which here have holes."""
  content = json.loads((folder / "annotations/instances_train.json").read_text())
  rows = content["annotations"]
  content["annotations"] = [r for r in rows if r["iscrowd"] or isinstance(r["segmentation"], list)]
  assert any(row["iscrowd"] for row in content["annotations"])
  path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def both(shapes, upstream, tmp_path_factory):
  root = tmp_path_factory.mktemp("both")
  without_holes(shapes, root / "instances.json")
  panoptic = shapes / "annotations/panoptic_train.json"
  convert(
    Conversion(
      images=shapes / "images/train",
      output=root / "ours/x",
      shards=3,
      instances=root / "instances.json",
      panoptic=panoptic,
      panoptic_masks=panoptic.with_suffix(""),
      masks=True,
    )
  )
  (root / "theirs").mkdir()
  upstream._create_tf_record_from_coco_annotations(
    str(root / "instances.json"),
    [str(shapes / "images/train")],
    str(root / "theirs/x"),
    3,
    object_annotations_file=str(root / "instances.json"),
    panoptic_masks_dir=str(panoptic.with_suffix("")),
    panoptic_annotations_file=str(panoptic),
    include_panoptic_masks=True,
    include_masks=True,
  )
  return read(root / "ours"), read(root / "theirs")


def test_same_files_with_the_same_images_in_them(both):
  ours, theirs = both
  assert list(ours) == list(theirs)
  assert sum(map(len, ours.values())) == 40
  for name in ours:
    assert [x["image/source_id"] for x in ours[name]] == [
      x["image/source_id"] for x in theirs[name]
    ]


def test_same_features(both):
  ours, theirs = ([x for xs in side.values() for x in xs] for side in both)
  seen = set()
  for one, other in zip(ours, theirs, strict=True):
    assert {name for name in one if not name.startswith("image/segments/")} == set(other)
    for name in other:
      (kind, values), (their_kind, their_values) = value(one[name]), value(other[name])
      assert (kind, len(values)) == (their_kind, len(their_values)), name
      if "mask" in name or "segmentation" in name:
        values, their_values = map(pixels, (values, their_values))
      assert values == their_values, name
    seen |= set(other)
  assert len(seen) == 19
