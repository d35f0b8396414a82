"""Scenes for Darknet's loss, and the recipe of `darknet.npz`: what Darknet itself makes of them.

    python -m tests.projects.yolo.losses.darknet_recipe PROGRAM

PROGRAM is `darknet_deltas.c`, compiled in a working tree of https://github.com/AlexeyAB/darknet
(public domain; recorded: commit 59596d7, `make LIBSO=1`) by

    gcc -Iinclude -Isrc darknet_deltas.c -L. -ldarknet -lm -lpthread -Wl,-rpath,. -o deltas

Names: SCENE/RULE/LEVEL [2, h, w, anchors, 5 + classes] float32: its deltas, minus the gradient; and
SCENE/hide/LEVEL: without objects, of self-adversarial training.
"""

import pathlib
import subprocess
import sys

import numpy as np

from tests.projects.yolo.losses import v7_scenes

CLASSES, SIZE = v7_scenes.CLASSES, v7_scenes.SIZE
# All anchors of the network in the order of its file; each level's are numbers into them. As in
# v4-tiny, one is of no level, and one of two.
ANCHORS = ((5, 7), (9, 14), (14, 10), (28, 20), (26, 40), (44, 36))
MASKS = {4: (1, 2, 3), 5: (3, 4, 5)}
SCENES = ("sparse", "mixed", "one", "none", "crowded", "unfit")
SCALE_XY = 1.1
# Loss of boxes, its weight, overlap at which further anchors answer (1: none), largest delta.
RULES = {
  "v3": ("mse", 0.75, 1.0, None),
  "v4_tiny": ("ciou", 0.07, 1.0, None),
  "v4": ("ciou", 0.07, 0.213, 0.5),
}


def outputs(name):
  """Raw outputs {level: [2, h, w, 3, 5 + classes]} float32: around objects they half know them."""
  rng = np.random.default_rng([SCENES.index(name), 77])
  boxes, classes, valid = v7_scenes.scene(name)
  raw = {}
  for level, mask in MASKS.items():
    grid = SIZE >> level
    array = rng.normal(0, 0.7, [2, grid, grid, len(mask), 5 + CLASSES])
    array[..., 5:] -= 1.5
    for image, item in zip(*np.nonzero(valid), strict=True):
      for row, column, index in np.ndindex(grid, grid, len(mask)):
        known = _known(boxes[image, item], column, row, ANCHORS[mask[index]], grid)
        if known is not None and rng.random() < 0.7:
          array[image, row, column, index, :4] = known + rng.normal(0, 0.1, 4)
          array[image, row, column, index, 5 + classes[image, item]] += 2.5 * rng.random()
    raw[str(level)] = array.astype(np.float32)
  return raw


def _known(box, column, row, anchor, grid):
  """tx, ty, tw, th that decode to a box, where some do."""
  y0, x0, y1, x1 = box
  centre = np.array([(x0 + x1) / 2 * grid - column, (y0 + y1) / 2 * grid - row])
  part = (centre + (SCALE_XY - 1) / 2) / SCALE_XY
  if (part < 0.02).any() or (part > 0.98).any():
    return None
  side = np.array([x1 - x0, y1 - y0]) * SIZE / anchor
  return np.concatenate([np.log(part / (1 - part)), np.log(side)])


def truths(name):
  """Rows of x, y, w, h, class, 0 [2, n, 6] float32; all zero behind the last."""
  boxes, classes, valid = v7_scenes.scene(name)
  y0, x0, y1, x1 = np.moveaxis(boxes, -1, 0)
  xywh = [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]
  rows = np.stack([*xywh, classes, np.zeros_like(x0)], -1).astype(np.float32)
  return np.where(valid[..., None], rows, 0)


def case(name, rule, level):
  """What the program reads."""
  kind, weight, overlap, largest = RULES.get(rule, ("hide", 1.0, 1.0, None))
  raw, objects = outputs(name)[str(level)], truths(name)
  if kind == "hide":
    objects = np.zeros_like(objects)
  batch, height, width, masks, _ = raw.shape
  sizes = [batch, height, width, masks, len(ANCHORS), CLASSES, objects.shape[1]]
  sizes.append(("mse", "ciou", "hide").index(kind))
  numbers = [SCALE_XY, weight, overlap, largest or 0, SIZE]
  parts = [np.int32(sizes), np.float32(numbers), np.int32(MASKS[level]), np.float32(ANCHORS)]
  parts += [np.ascontiguousarray(raw.transpose(0, 3, 4, 1, 2)), objects]
  return b"".join(part.tobytes() for part in parts)


def main():
  names = [(s, r, level) for s in SCENES for r in (*RULES, "hide") for level in MASKS]
  data = b"".join(case(*name) for name in names)
  done = subprocess.run([sys.argv[1]], input=data, stdout=subprocess.PIPE, check=True)
  arrays, start = {}, 0
  found = np.frombuffer(done.stdout, np.float32)
  for name, rule, level in names:
    batch, height, width, masks, channels = outputs(name)[str(level)].shape
    count = batch * height * width * masks * channels
    part = found[start : start + count].reshape(batch, masks, channels, height, width)
    arrays[f"{name}/{rule}/{level}"] = part.transpose(0, 3, 4, 1, 2)
    start += count
  assert start == len(found)
  np.savez_compressed(pathlib.Path(__file__).with_name("darknet.npz"), **arrays)


if __name__ == "__main__":
  main()
