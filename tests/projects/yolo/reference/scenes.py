"""Random outputs and objects for losses; `outputs.npz` has what ScaledYOLOv4 computed for them."""

import numpy as np

CLASSES = 7
SIZE = 128
ANCHORS = {
  3: ((12, 16), (19, 36), (40, 28)),
  4: ((36, 75), (76, 55), (72, 146)),
  5: ((142, 110), (192, 243), (459, 401)),
}
# In none of these do two objects share a place.
SEEDS = range(6)
LEVELS = ((4, 5), (3, 4, 5))


def scene(seed, levels, images=2, objects=3):
  """Raw outputs [b, anchors, h, w, 5 + classes] by level, boxes [b, n, 4] yxyx in 0..1, classes."""
  rng = np.random.default_rng(seed)
  corner = rng.uniform(0, 0.75, [images, objects, 2])
  sides = np.exp(rng.uniform(np.log(0.05), np.log(0.24), [images, objects, 2]))
  boxes = np.concatenate([corner, corner + sides], -1)
  classes = rng.integers(0, CLASSES, [images, objects])
  raw = {
    str(level): rng.normal(0, 1, [images, 3, SIZE >> level, SIZE >> level, 5 + CLASSES])
    for level in levels
  }
  return raw, boxes, classes


def digest(gradient):
  """Of a gradient [b, anchors, h, w, 5 + classes]: sums of absolute values over xy, wh, objectness
  and classes, then 32 values."""
  parts = np.split(np.abs(gradient), [2, 4, 5], axis=-1)
  flat = gradient.reshape(-1)
  return np.concatenate([[part.sum() for part in parts], flat[:: flat.size // 31][:32]])
