"""Results files against pycocotools; pictures."""

import contextlib
import io
import json
import pathlib

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from official.datasets.annotations import Category
from official.serving import results

CATEGORIES = [Category(17, "cat", True), Category(2, "dog", True)]
DETECTIONS = {
  "boxes": np.float32([[10, 20, 40, 80], [0, 0, 5, 5.5]]),
  "classes": np.int32([1, 0]),
  "scores": np.float32([0.75, 0.25]),
}


def test_above_keeps_the_threshold_itself():
  assert results.above(DETECTIONS, 0.75)["classes"].tolist() == [1]
  assert results.above(DETECTIONS, 0.76)["boxes"].shape == (0, 4)
  assert results.above(DETECTIONS, 0.0)["scores"].tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
  ("names", "ids"),
  [
    (["000000000139.jpg", "a/42.png"], [139, 42]),
    (["000000000139.jpg", "dog.png"], [1, 2]),
    (["1.jpg", "01.jpg"], [1, 2]),
    (["a/7.jpg", "b/7.jpg"], [1, 2]),
    (["²³.jpg"], [1]),
  ],
)
def test_image_ids(names, ids):
  assert results.image_ids([pathlib.Path(name) for name in names]) == ids


def test_pycocotools_reads_the_file(tmp_path):
  rows = results.coco_rows(DETECTIONS, CATEGORIES, 42, "42.jpg")
  path = tmp_path / "out" / "detections.json"
  results.write_json(rows, path)
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = {"images": [{"id": 42}], "annotations": [], "categories": []}
    truth.createIndex()
    read = truth.loadRes(str(path))
  first, second = read.loadAnns(read.getAnnIds())
  assert first["bbox"] == [20, 10, 60, 30]
  assert (first["category_id"], first["score"], first["file_name"]) == (2, 0.75, "42.jpg")
  assert second["bbox"] == [0, 0, 5.5, 5]
  assert second["category_id"] == 17


def test_no_detections_is_json_too(tmp_path):
  results.write_json([], tmp_path / "d.json")
  assert json.loads((tmp_path / "d.json").read_text()) == []


def test_a_picture_is_a_jpeg_with_the_boxes(tmp_path):
  image = np.zeros((400, 400, 3), np.uint8)
  results.write_picture(image, DETECTIONS, CATEGORIES, tmp_path / "a" / "x.jpg")
  picture = np.asarray(Image.open(tmp_path / "a" / "x.jpg")).astype(int)
  assert picture.shape == (400, 400, 3)
  assert picture[39:41, 30:70].max(-1).min() > 100  # The lower edge of the dog.
  assert picture[200:, 200:].max() < 20
  assert [path.name for path in (tmp_path / "a").iterdir()] == ["x.jpg"]
