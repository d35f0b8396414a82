import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from official.cli.errors import UserError
from official.datasets.records import count_records, load_sidecar
from official.datasets.shapes import Shapes, make_shapes
from official.datasets.shapes_scene import STUFF, THINGS, draw_scene


@pytest.fixture(scope="module")
def api(shapes):
  return COCO(shapes / "annotations/instances_train.json")


def panoptic_of(shapes, split="train"):
  return json.loads((shapes / f"annotations/panoptic_{split}.json").read_text())


def ids_of(shapes, row, split="train"):
  pixels = np.array(Image.open(shapes / f"annotations/panoptic_{split}" / row["file_name"]))
  return pixels.astype(int) @ [1, 256, 65536]


def test_areas_and_boxes_are_pycocotools(api):
  rows = api.dataset["annotations"]
  for row in rows:
    coded = api.annToRLE(row)
    assert mask_api.area(coded) == row["area"] > 0
    assert mask_api.toBbox(coded).tolist() == row["bbox"]
  kinds = {(bool(r["iscrowd"]), type(r["segmentation"])) for r in rows}
  assert kinds == {(False, list), (False, dict), (True, dict)}
  assert len({row["id"] for row in rows}) == len(rows)


def test_panoptic_pngs_hold_what_the_segments_say(shapes, api):
  content = panoptic_of(shapes)
  things = {row["id"] for row in content["categories"] if row["isthing"]}
  assert things == set(THINGS)
  for row in content["annotations"]:
    ids = ids_of(shapes, row)
    segments = row["segments_info"]
    assert set(np.unique(ids)) == {segment["id"] for segment in segments}
    for segment in segments:
      y, x = np.nonzero(ids == segment["id"])
      box = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
      assert (segment["bbox"], segment["area"]) == (box, len(x))
    objects = api.imgToAnns[row["image_id"]]
    pairs = zip(objects, segments[: len(objects)], strict=True)
    for thing, segment in pairs:
      np.testing.assert_array_equal(api.annToMask(thing), ids == segment["id"])
      for key in ("category_id", "iscrowd", "area", "bbox"):
        assert thing[key] == segment[key]
    assert all(s["category_id"] not in things for s in segments[len(objects) :])


def test_images_are_as_listed(shapes, api):
  assert len(api.imgs) == 40
  for row in api.imgs.values():
    with Image.open(shapes / "images/train" / row["file_name"]) as image:
      assert (image.format, image.size) == ("JPEG", (row["width"], row["height"]))
  held_out = {row["id"] for row in panoptic_of(shapes, "val")["images"]}
  assert not held_out & set(api.imgs)


def test_converted_like_any_other(shapes, api):
  sidecar = load_sidecar(shapes / "train-*.tfrecord")
  assert [c.id for c in sidecar.things] == sorted(THINGS)
  assert [c.id for c in sidecar.categories] == sorted(THINGS) + sorted(STUFF)
  assert (sum(sidecar.examples), sidecar.boxes) == (40, len(api.anns))
  counts = [count_records(path) for path in sorted(shapes.glob("train-*.tfrecord"))]
  assert tuple(counts) == sidecar.examples
  assert load_sidecar(shapes / "val").examples == (8,)


def files(root):
  skip = ".manifest.json"  # Holds the times at which the images were written.
  paths = [p for p in root.rglob("*") if p.is_file() and not p.name.endswith(skip)]
  return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_same_bytes_whatever_the_workers_and_the_number_of_images(tmp_path):
  for name, workers in (("one", 1), ("three", 3)):
    make_shapes(Shapes(tmp_path / name, train=130, val=3, size=64, seed=5, workers=workers))
  one, three = files(tmp_path / "one"), files(tmp_path / "three")
  assert len(one) == 2 * 133 + 4 + 2 + 2
  assert one == three
  make_shapes(Shapes(tmp_path / "few", train=3, val=3, size=64, seed=5, workers=1))
  few = files(tmp_path / "few")
  pictures = {name: data for name, data in few.items() if name.endswith(("jpg", "png"))}
  assert len(pictures) == 12
  assert all(one[name] == data for name, data in pictures.items())
  make_shapes(Shapes(tmp_path / "other", train=3, val=3, size=64, seed=6, workers=1))
  other = files(tmp_path / "other")
  assert all(other[name] != data for name, data in pictures.items())


def test_scenes_are_hard_but_fair():
  """Many scenes: every class, sizes, crowds, empty ones, and nothing too hidden to be found."""
  scenes = [draw_scene(np.random.default_rng([0, i]), 160) for i in range(400)]
  things = [(scene, thing) for scene in scenes for thing in scene.things]
  assert {thing.category_id for _, thing in things} == set(THINGS)
  assert {int(c) for scene in scenes for c in np.unique(scene.grounds)} == set(STUFF)
  assert 0.03 < np.mean([not scene.things for scene in scenes]) < 0.1
  assert max(len(scene.things) for scene in scenes) in (11, 12)
  crowds = sum(thing.is_crowd for _, thing in things)
  assert 0.05 < crowds / len(scenes) < 0.15
  areas = [np.count_nonzero(scene.codes == t.code) for scene, t in things if not t.is_crowd]
  assert min(areas) >= 30
  assert 0.1 < np.mean(np.array(areas) < 20**2 * 0.6) < 0.4
  far = [contrast(scene, thing) > 60 for scene, thing in things if not thing.is_crowd]
  assert np.mean(far) > 0.99


def test_nothing_too_tiny_in_a_small_image():
  scenes = [draw_scene(np.random.default_rng([2, i]), 80) for i in range(100)]
  codes = [(scene, t.code) for scene in scenes for t in scene.things if not t.is_crowd]
  assert min(np.count_nonzero(scene.codes == code) for scene, code in codes) >= 30


def contrast(scene, thing):
  """The least distance in RGB between a thing's median colour and that of a ground."""
  colour = np.median(scene.pixels[scene.codes == thing.code], axis=0)
  regions = [(scene.grounds == category) & (scene.codes == 0) for category in STUFF]
  grounds = [np.median(scene.pixels[region], axis=0) for region in regions if region.any()]
  return min(np.linalg.norm(ground - colour) for ground in grounds)


def test_visible_share_of_a_covered_thing():
  """The outline of a circle that something covers still shows most of its disc."""
  shares = []
  for i in range(300):
    scene = draw_scene(np.random.default_rng([1, i]), 160)
    for thing in scene.things:
      if THINGS[thing.category_id] == "circle" and not thing.is_crowd:
        mask = scene.codes == thing.code
        y, x = np.nonzero(mask)
        across = max(np.ptp(x), np.ptp(y)) + 1
        shares.append(mask.sum() / (np.pi / 4 * across**2))
  assert len(shares) > 100
  assert min(shares) > 0.45
  assert min(shares) < 0.8  # Some are covered.
  assert np.median(shares) > 0.9


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"size": 32}, "--size 32 is too small"),
    ({"train": 0}, "--train, --val"),
    ({"workers": 0}, "--workers"),
    ({"seed": -1}, "--seed at least 0"),
  ],
)
def test_values_out_of_range(tmp_path, change, message):
  options = {"train": 1, "val": 1, "size": 64, "seed": 0, "workers": 1}
  with pytest.raises(UserError, match=message):
    Shapes(tmp_path, **options | change)
