"""Outputs of a half-trained network and objects; `v7.npz` has what YOLOv7's code says of them."""

import numpy as np

CLASSES = 4
SIZE = 64
ANCHORS = {
  3: ((5, 7), (9, 14), (14, 10)),
  4: ((18, 26), (28, 20), (26, 40)),
  5: ((44, 36), (40, 52), (60, 60)),
}
SCENES = ("sparse", "mixed", "one", "none", "crowded", "edges", "unfit")
HYPER = {"box": 0.05, "cls": 0.3, "obj": 0.7, "anchor_t": 4.0}


def scene(name):
  """Boxes [2, n, 4] yxyx in 0..1 float64, classes [2, n] and valid [2, n]."""
  rng = np.random.default_rng(SCENES.index(name))
  boxes = np.zeros([2, 12, 4])
  classes = rng.integers(0, CLASSES, [2, 12]).astype(np.int32)
  valid = np.zeros([2, 12], bool)
  if name in ("sparse", "mixed", "one"):
    corner = rng.uniform(0, 0.6, [2, 12, 2])
    boxes = np.concatenate([corner, corner + rng.uniform(0.06, 0.4, [2, 12, 2])], -1)
    valid[0, : {"sparse": 3, "mixed": 12, "one": 1}[name]] = True
    valid[1, : {"sparse": 2, "mixed": 7, "one": 0}[name]] = True
  elif name == "crowded":
    centre = np.array([0.44, 0.58]) + rng.uniform(-0.02, 0.02, [2, 12, 2])
    sides = rng.uniform(0.2, 0.5, [2, 12, 2])
    boxes = np.concatenate([centre - sides / 2, centre + sides / 2], -1)
    boxes[:, 5], classes[:, 5] = boxes[:, 4], classes[:, 4]  # The same object twice.
    valid[:] = True
  elif name == "edges":
    boxes, valid = _edges(), np.ones([2, 12], bool)
  elif name == "unfit":
    boxes[0, 0], valid[0, 0] = (0.1, 0.1, 0.9, 0.11), True  # No anchor is that flat.
    boxes[1, 0], valid[1, 0] = (0.2, 0.3, 0.6, 0.8), True
    boxes[1, 1], valid[1, 1] = (0.5, 0.2, 0.51, 0.9), True  # Nor this; it may take others' places.
  return boxes, classes, valid


def _edges():
  """Centres on borders, middles and ends of cells, exactly."""
  points = np.array([0, 4, 8, 12, 16, 20, 24, 32, 48, 56, 60, 64]) / SIZE
  centre = np.stack([[points, points[::-1]], [np.roll(points, 5), points]]).transpose(0, 2, 1)
  sides = np.array([8, 16, 24, 32])[np.arange(24) % 4].reshape(2, 12, 1) / SIZE
  return np.concatenate([centre - sides / 2, centre + sides / 2], -1)


def outputs(name, seed):
  """Raw outputs {level: [2, h, w, 3, 5 + classes]}: around objects they half know them."""
  rng = np.random.default_rng([SCENES.index(name), seed])
  boxes, classes, valid = scene(name)
  raw = {}
  for level, anchors in ANCHORS.items():
    grid = SIZE >> level
    raw[str(level)] = array = rng.normal(0, 0.5, [2, grid, grid, 3, 5 + CLASSES])
    for image, item in zip(*np.nonzero(valid), strict=True):
      for column, row in np.ndindex(grid, grid):
        cell = np.array([column, row])
        for index, anchor in enumerate(np.array(anchors) / 2**level):
          known = _known(boxes[image, item] * grid, cell, anchor)
          if known is not None and rng.random() < 0.6:
            array[image, row, column, index, :4] = known + rng.normal(0, 0.25, 4)
            array[image, row, column, index, 5 + classes[image, item]] += 1.5
  return raw


def _known(box, cell, anchor):
  """tx, ty, tw, th that decode to a box, where some do."""
  y0, x0, y1, x1 = box
  centre = (np.array([x0 + x1, y0 + y1]) / 2 - cell + 0.5) / 2
  side = np.sqrt(np.array([x1 - x0, y1 - y0]) / anchor) / 2
  part = np.concatenate([centre, side])
  if (part < 0.05).any() or (part > 0.95).any():
    return None
  return np.log(part / (1 - part))


def digest(gradients):
  """Gradients {level: [2, h, w, 3, 5 + classes]} → 4 random projections of each level's: [12]."""
  rng = np.random.default_rng(9)
  parts = [gradients[str(level)].reshape(-1) for level in ANCHORS]
  return np.concatenate([rng.normal(0, 1, [4, part.size]) @ part for part in parts])
