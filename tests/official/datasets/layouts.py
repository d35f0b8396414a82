"""Tiny data sets in the layouts in which the real ones are published: 2 images of 6x4 a split."""

import json

import h5py
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 4, 6
ADE20K = "Idx\tRatio\tTrain\tVal\t\tName\n" + "".join(
  f"{number}\t0.1\t10\t1\t\t{name}\n"
  for number, name in enumerate(("wall", "building, edifice", "sky", "person, soul", "car"), 1)
)
INSTANCES = "Instance100\tSceneParse150\tFullADE20K\n1\t4\t1831\n2\t5\t401\n2\t5\t402\n"


def save(path, pixels, mode=None):
  path.parent.mkdir(parents=True, exist_ok=True)
  image = Image.fromarray(np.asarray(pixels))
  if mode == "P":
    image = image.convert("L")
    image.putpalette(list(range(256)) * 3)
  image.save(path)


def photograph(path, seed=0):
  save(path, np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))


def grid(*rows):
  return np.array(rows)


LABELS = grid([0, 0, 1, 1, 4, 4], [0, 3, 3, 1, 4, 4], [2, 2, 5, 5, 4, 4], [2, 2, 5, 5, 5, 0])
# Red: person 1, car 2. The person of number 9 lies on wall, and on a car without an instance.
CATEGORY = grid([0, 0, 1, 0, 1, 1], [0, 0, 1, 0, 1, 1], [0, 0, 2, 2, 1, 0], [0, 0, 2, 2, 1, 0])
NUMBER = grid([0, 0, 9, 0, 3, 3], [0, 0, 9, 0, 3, 3], [0, 0, 4, 4, 3, 0], [0, 0, 4, 4, 9, 0])


def ade20k(root):
  """Label files for two images; instance files for both; returns the instance table's path."""
  (root / "objectInfo150.txt").write_text(ADE20K)
  (root / "map.txt").write_text(INSTANCES)
  for index in (1, 2):
    name = f"ADE_val_0000000{index}"
    photograph(root / f"images/validation/{name}.jpg", index)
    save(root / f"annotations/validation/{name}.png", LABELS.astype(np.uint8))
    channels = np.stack([CATEGORY, NUMBER, np.full_like(NUMBER, 7)], -1).astype(np.uint8)
    save(root / f"annotations_instance/validation/{name}.png", channels)
  return root / "map.txt"


def ade20k_full(root):
  """846 is the last class and 65535 void, in TIFFs of 16 bits; returns the table's path."""
  rows = [{"name": f"class {n}", "id": 3000 - n, "trainId": n} for n in (2, 0, 1, 846, 300)]
  (root / "classes.json").write_text(json.dumps(rows))
  for index in (1, 2):
    name = f"ADE_train_0000000{index}"
    photograph(root / f"images_detectron2/training/{name}.jpg", index)
    labels = np.array([65535, 0, 1, 2, 300, 846], np.uint16)[LABELS]
    save(root / f"annotations_detectron2/training/{name}.tif", labels)
  return root / "classes.json"


def cityscapes(root):
  """Label ids; 0 and 3 are void, 7 road, 26 car, 33 bicycle, 255 a licence plate."""
  for city, index in (("zurich", 0), ("aachen", 1)):
    name = f"{city}_000000_00000{index}"
    pixels = np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    save(root / f"leftImg8bit/val/{city}/{name}_leftImg8bit.png", pixels)
    labels = np.array([0, 7, 26, 33, 3, 255], np.uint8)[LABELS]
    save(root / f"gtFine/val/{city}/{name}_gtFine_labelIds.png", labels)
    save(root / f"gtFine/val/{city}/{name}_gtFine_color.png", pixels)


def mapillary(root):
  """Palette images; labels 1 and 5 of six are not evaluated; returns the table's path."""
  names = ("Bird", "Nothing", "Curb", "Road", "Sky", "Unlabeled")
  rows = [
    {"color": [1, 2, n], "instances": False, "readable": name, "name": f"x--{name.lower()}",
     "evaluate": n not in (1, 5)}
    for n, name in enumerate(names)
  ]  # fmt: skip
  (root / "config.json").write_text(json.dumps({"version": "1.1", "labels": rows}))
  for name in ("b_x", "a_y"):
    photograph(root / f"training/images/{name}.jpg")
    save(root / f"training/labels/{name}.png", LABELS.astype(np.uint8), "P")
  return root / "config.json"


def coco_stuff(root):
  """Matrices down the columns; 1 is void; returns the table's path."""
  rows = [f"{number}: name {number}" for number in range(183)]
  (root / "labels.txt").write_text("\n".join(rows) + "\n")
  names = ("COCO_train2014_000000000077", "COCO_train2014_000000000009")
  (root / "imageLists").mkdir()
  (root / "imageLists/train.txt").write_text("\n".join(names) + "\n")
  (root / "annotations").mkdir()
  for name in names:
    photograph(root / f"images/{name}.jpg")
    with h5py.File(root / f"annotations/{name}.mat", "w") as file:
      file["S"] = np.array([1, 2, 12, 13, 100, 172], np.float64)[LABELS].T
  return root / "labels.txt"
