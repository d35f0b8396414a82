"""Makes `mosaic_nine.npz`: mosaics of nine as YOLOv7's own `load_mosaic9` puts them together.

    python -m tests.projects.yolo.ops.mosaic_nine_recipe CHECKOUT

CHECKOUT is a working tree of https://github.com/WongKinYiu/yolov7 (recorded: commit a207844). Image
i is of one level, i + 1, with a box. Its map after the mosaic is left out.

Names: SCENE/shapes [9, 2] height and width, SCENE/offset [2] y and x, SCENE/picture [2s, 2s] uint8,
SCENE/boxes [9, 4] yxyx in pixels of the picture.
"""

import pathlib
import sys
import types
from unittest import mock

import numpy as np

SIZE, SCENES = 32, 5
BOX = (0.25, 0.1, 0.75, 0.6)  # yxyx, of each image.


def scene(index):
  """Shapes [9, 2] of images, the longer side of each `SIZE`; the offset [2]."""
  rng = np.random.default_rng(index)
  shorter, flat = rng.integers(9, SIZE + 1, 9), rng.random(9) < 0.5
  shapes = np.where(flat[:, None], np.stack([shorter, 0 * shorter + SIZE], 1), 0)
  shapes += np.where(flat[:, None], 0, np.stack([0 * shorter + SIZE, shorter], 1))
  return shapes, rng.integers(0, SIZE, 2)


def load(checkout):
  """The original's module of data, without what it does not need here."""
  sys.path.insert(0, str(checkout))
  for name in (
    "torchvision",
    "torchvision.ops",
    "torchvision.utils",
    "utils.torch_utils",
    "utils.google_utils",
  ):
    sys.modules[name] = mock.MagicMock()
  from utils import datasets

  return datasets


def run(datasets, index):
  shapes, offset = scene(index)
  top, left, bottom, right = BOX
  row = [0, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
  images = types.SimpleNamespace(
    img_size=SIZE,
    indices=range(1, 9),
    mosaic_border=[-SIZE // 2] * 2,
    labels=[np.array([row])] * 9,
    segments=[[]] * 9,
    hyp=mock.MagicMock(),
  )
  image = lambda _, i: (np.full((*shapes[i], 3), i + 1, np.uint8), None, tuple(shapes[i]))
  numbers = map(float, offset)
  with (
    mock.patch.object(datasets, "load_image", image),
    mock.patch.object(datasets.random, "choices", lambda items, k: list(items)[:k]),
    mock.patch.object(datasets.random, "uniform", side_effect=numbers),
    mock.patch.object(datasets, "copy_paste", lambda *parts, probability: parts),
    mock.patch.object(datasets, "random_perspective", lambda i, boxes, segments, **_: (i, boxes)),
  ):
    picture, boxes = datasets.load_mosaic9(images, 0)
  return {
    f"{index}/shapes": shapes,
    f"{index}/offset": offset,
    f"{index}/picture": picture[..., 0],
    f"{index}/boxes": boxes[:, [2, 1, 4, 3]],
  }


def main():
  datasets = load(pathlib.Path(sys.argv[1]))
  arrays = {}
  for index in range(SCENES):
    arrays |= run(datasets, index)
  np.savez_compressed(pathlib.Path(__file__).with_name("mosaic_nine.npz"), **arrays)


if __name__ == "__main__":
  main()
