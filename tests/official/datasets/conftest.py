"""Small COCO-style data sets: a hand-made one to be spoiled, and a drawn one."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from official.datasets.convert import Conversion
from official.datasets.shapes import Shapes, make_shapes

WIDTH, HEIGHT = 40, 30


@dataclasses.dataclass
class Folder:
  """Three images of 40x30; `instances` and `panoptic` are saved by `save`."""

  root: pathlib.Path
  instances: dict
  panoptic: dict

  def save(self):
    for kind in ("instances", "panoptic"):
      (self.root / f"{kind}.json").write_text(json.dumps(getattr(self, kind)))

  def image(self, number):
    return self.root / "images" / f"{number}.jpg"

  def mask(self, number):
    return self.root / "masks" / f"{number}.png"

  def conversion(self, panoptic=False, **options):
    self.save()
    defaults = {"output": self.root / "out" / "x", "shards": 1}
    if panoptic:
      defaults |= {
        "panoptic": self.root / "panoptic.json",
        "panoptic_masks": self.root / "masks",
      }
    instances = self.root / "instances.json"
    return Conversion(
      **{"images": self.root / "images", "instances": instances} | defaults | options
    )


def annotation(identity, image, box, category=5, crowd=0):
  x, y, w, h = box
  return {
    "id": identity,
    "image_id": image,
    "category_id": category,
    "bbox": list(box),
    "area": w * h,
    "iscrowd": crowd,
    "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
  }


@pytest.fixture
def folder(tmp_path):
  made = Folder(tmp_path, *_tables())
  (tmp_path / "images").mkdir()
  (tmp_path / "masks").mkdir()
  rng = np.random.default_rng(0)
  for number in (1, 2, 3):
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(made.image(number), quality=90)
    ids = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    ids[:10] = (7, 1, 2)  # 7 + 256 + 2 * 65536
    ids[20:, :20] = (0, 3, 0)
    Image.fromarray(ids).save(made.mask(number))
  made.save()
  return made


def _tables():
  things = [{"id": 9, "name": "dog"}, {"id": 5, "name": "cat"}]
  images = [{"id": n, "file_name": f"{n}.jpg", "height": HEIGHT, "width": WIDTH} for n in (1, 2, 3)]
  instances = {
    "images": images,
    "annotations": [
      annotation(11, 1, (0, 0, 40, 10)),
      annotation(12, 2, (5, 6, 10.5, 7), category=9),
      annotation(13, 2, (1, 2, 3, 4)),
    ],
    "categories": things,
  }
  segments = [
    {"id": 131335, "category_id": 5, "iscrowd": 0, "area": 400, "bbox": [0, 0, 40, 10]},
    {"id": 768, "category_id": 100, "iscrowd": 0, "area": 200, "bbox": [0, 20, 20, 10]},
  ]
  panoptic = {
    "images": images,
    "annotations": [
      {"image_id": n, "file_name": f"{n}.png", "segments_info": [dict(s) for s in segments]}
      for n in (1, 2, 3)
    ],
    "categories": [c | {"isthing": 1} for c in things] + [{"id": 100, "name": "sky", "isthing": 0}],
  }
  return instances, panoptic


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
  """The folder of a small `shapes` data set."""
  root = tmp_path_factory.mktemp("shapes")
  make_shapes(Shapes(root, train=40, val=8, size=128, seed=3, workers=1))
  return root
